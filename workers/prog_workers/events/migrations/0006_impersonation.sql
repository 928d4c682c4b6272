-- What support did in a person's name is among what that person sees of the trail (infra/adr/0029-impersonation.md).
CREATE INDEX audit_entries_impersonated ON events.audit_entries (split_part(actor, '/', 1), position DESC)
    WHERE actor_kind = 'impersonator';
DROP POLICY own_activity ON events.audit_entries;
CREATE POLICY own_activity ON events.audit_entries FOR SELECT TO prog_edge
    USING ((SELECT bus.current_tenant()) IS NULL
           AND ((SELECT bus.current_user_id()) IN (actor, subject)
                OR (actor_kind = 'impersonator' AND split_part(actor, '/', 1) = (SELECT bus.current_user_id()))));
