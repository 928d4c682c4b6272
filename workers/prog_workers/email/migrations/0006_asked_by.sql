-- Who had a mail sent: of an invitation the inviter, whom it names. So it can be forgotten with them, whatever they were
-- called then, and mails of somebody of the same name stay as they are.
ALTER TABLE email.mails ADD COLUMN asked_by text;
COMMENT ON COLUMN email.mails.asked_by IS 'The person who had it sent, themselves or by a key of theirs; NULL for what the platform sends';
UPDATE email.mails AS m SET asked_by = split_part(e.actor, '/', 1)
FROM bus.event_log AS e
WHERE m.template = 'invitation' AND e.message_id = m.message_id AND starts_with(e.actor, 'user_');

-- Lists of all tenants' mails, for operators.
CREATE INDEX mails_time ON email.mails (queued_at DESC, mail_id DESC);
