-- Where acts came from is let go of after a time (infra/adr/0034-plans-and-retention.md). What is there is as old as this.
ALTER TABLE events.audit_origins ADD COLUMN noted_at timestamptz NOT NULL DEFAULT statement_timestamp();
COMMENT ON COLUMN events.audit_origins.noted_at IS 'On the machine''s clock, by which it is let go of; of rows from before this column was there, when that came';
GRANT SELECT (noted_at) ON events.audit_origins TO prog_exporter;

-- Whose entries somebody sees. Of several policies PostgreSQL makes one condition with OR, believes that next to nothing fits
-- it, and reads and sorts a tenant's whole trail for a page of it. As CASE it means the same.
DROP POLICY own_activity ON events.audit_entries;
ALTER POLICY tenant_isolation ON events.audit_entries USING (
    CASE WHEN (SELECT bus.current_tenant()) IS NOT NULL THEN tenant_id = (SELECT bus.current_tenant())
         WHEN actor_kind = 'impersonator' THEN
             subject = (SELECT bus.current_user_id()) OR split_part(actor, '/', 1) = (SELECT bus.current_user_id())
         ELSE (SELECT bus.current_user_id()) IN (actor, subject) END);
DROP POLICY own_activity ON events.audit_origins;
ALTER POLICY tenant_isolation ON events.audit_origins USING (
    CASE WHEN (SELECT bus.current_tenant()) IS NOT NULL THEN tenant_id = (SELECT bus.current_tenant())
         ELSE person = (SELECT bus.current_user_id()) END);

-- Queues, of which nothing is to be left behind (bus/0010).
ALTER TABLE bus.audit_intake SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE events.audit_notes SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
