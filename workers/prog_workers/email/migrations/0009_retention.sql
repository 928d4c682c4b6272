-- Mails that went out long ago are let go of (infra/adr/0034-plans-and-retention.md), in a transaction that says so.
CREATE POLICY retention_reads ON email.mails FOR SELECT TO prog_email USING (recorded_at < (SELECT bus.kept_since()));
CREATE POLICY retention_deletes ON email.mails FOR DELETE TO prog_email USING (recorded_at < (SELECT bus.kept_since()));
ALTER POLICY purged_alone ON email.mails
    USING (tenant_id = (SELECT bus.purged_tenant()) OR recorded_at < (SELECT bus.kept_since()));
-- The steps of a mail go with it, whenever they were.
CREATE POLICY retention_reads ON email.mail_events FOR SELECT TO prog_email USING ((SELECT bus.kept_since()) IS NOT NULL);
CREATE POLICY retention_deletes ON email.mail_events FOR DELETE TO prog_email USING ((SELECT bus.kept_since()) IS NOT NULL);
ALTER POLICY purged_alone ON email.mail_events
    USING (tenant_id = (SELECT bus.purged_tenant()) OR (SELECT bus.kept_since()) IS NOT NULL);
