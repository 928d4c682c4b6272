-- What names a person who is erased is found whichever tenant's it is, in a transaction that says whom it erases.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['mails', 'mail_events', 'suppressions', 'customers', 'leads'] LOOP
        EXECUTE format('CREATE POLICY erasure_reads ON email.%I FOR SELECT TO prog_email
            USING ((SELECT bus.erased_person()) IS NOT NULL)', name);
        IF name = 'suppressions' THEN
            CREATE POLICY erasure_deletes ON email.suppressions FOR DELETE TO prog_email
                USING ((SELECT bus.erased_person()) IS NOT NULL);
        ELSE
            EXECUTE format('CREATE POLICY erasure_changes ON email.%I FOR UPDATE TO prog_email
                USING ((SELECT bus.erased_person()) IS NOT NULL) WITH CHECK ((SELECT bus.erased_person()) IS NOT NULL)', name);
        END IF;
    END LOOP;
END
$$;
GRANT UPDATE (detail) ON email.mail_events TO prog_email;
GRANT UPDATE (address, name, message) ON email.leads TO prog_email;

CREATE POLICY erased_alone ON email.mailbox AS RESTRICTIVE FOR DELETE TO prog_email
    USING ((SELECT bus.erased_person()) IS NOT NULL);
GRANT DELETE ON email.mailbox TO prog_email;

-- Whose mails are to be forgotten, by address: mails by their recipient.
CREATE INDEX mails_recipient ON email.mails (recipient);
