-- prog_eraser takes out of the log, of answers and of dead letters who an erased person was, and can do nothing else. The
-- events domain takes it on for one transaction, which says whom it erases (infra/adr/0025-end-of-an-account.md).
DO $$
BEGIN
    CREATE ROLE prog_eraser NOLOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
GRANT prog_eraser TO prog_events WITH INHERIT FALSE;
GRANT USAGE ON SCHEMA bus TO prog_eraser;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['event_log', 'inbox', 'dead_letters', 'retries', 'command_outbox'] LOOP
        EXECUTE format('CREATE POLICY erasure ON bus.%I TO prog_eraser
            USING ((SELECT bus.erased_person()) IS NOT NULL) WITH CHECK ((SELECT bus.erased_person()) IS NOT NULL)', name);
    END LOOP;
END
$$;
GRANT SELECT, UPDATE (data, subject, partition_key) ON bus.event_log TO prog_eraser;
GRANT SELECT, UPDATE (subject, partition_key, result, error) ON bus.inbox TO prog_eraser;
GRANT SELECT, UPDATE (partition_key, attributes, data, reason, traceback, history) ON bus.dead_letters TO prog_eraser;
GRANT SELECT, UPDATE (partition_key, attributes, data, error) ON bus.retries TO prog_eraser;
GRANT SELECT, DELETE ON bus.command_outbox TO prog_eraser;

-- A deleted tenant's streams and schemas go a batch a transaction, and are asked for again while there are more.
CREATE TABLE events.deleted_tenants (
    tenant_id text PRIMARY KEY,
    deleted_at timestamptz NOT NULL
);
COMMENT ON TABLE events.deleted_tenants IS 'Tenants that were deleted, whose streams and schemas may be purged';
ALTER TABLE events.deleted_tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE events.deleted_tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON events.deleted_tenants TO prog_events
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON events.deleted_tenants FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT ON events.deleted_tenants TO prog_events;
GRANT SELECT ON events.deleted_tenants TO prog_operator;

-- What a person did, and what was done to them, in whichever tenant's chain: for them to read, where no tenant is set.
CREATE POLICY own_activity ON events.audit_entries FOR SELECT TO prog_edge
    USING ((SELECT bus.current_tenant()) IS NULL AND (SELECT bus.current_user_id()) IN (actor, subject));
CREATE POLICY own_activity ON events.audit_origins FOR SELECT TO prog_edge
    USING ((SELECT bus.current_tenant()) IS NULL AND person = (SELECT bus.current_user_id()));
