-- What somebody did in another person's name, or a key in its maker's, is found by who did it, too.
CREATE INDEX audit_entries_by ON events.audit_entries (split_part(actor, '/', 2), position DESC)
    WHERE strpos(actor, '/') > 0;
