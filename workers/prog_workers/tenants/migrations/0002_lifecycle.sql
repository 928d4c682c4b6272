-- A tenant's end: suspension, deletion with a grace period, and the purge that follows it (infra/adr/0020-end-of-a-tenant.md).
ALTER TABLE tenants.tenants
    ADD COLUMN suspension_reason text,
    ADD COLUMN suspended_at timestamptz,
    ADD COLUMN status_before text CHECK (status_before IN ('active', 'suspended')),
    ADD COLUMN purge_at timestamptz,
    ADD COLUMN deleted_at timestamptz,
    ADD CONSTRAINT tenants_suspended CHECK (status <> 'suspended' OR suspension_reason IS NOT NULL) NOT VALID,
    ADD CONSTRAINT tenants_deleting CHECK ((status = 'deleting') = (purge_at IS NOT NULL AND status_before IS NOT NULL)) NOT VALID;
COMMENT ON COLUMN tenants.tenants.suspension_reason IS 'Why operators suspended it; its owners were told';
COMMENT ON COLUMN tenants.tenants.status_before IS 'What a tenant that is being deleted becomes again when it is restored';
COMMENT ON COLUMN tenants.tenants.purge_at IS 'When the grace period ends, on the tenant''s clock';

-- What a deleted tenant leaves is deleted by the domain that owns it, one tenant in a transaction that says so. A
-- statement that forgets to say so deletes nothing.
CREATE FUNCTION bus.purged_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('prog.purged_tenant', true), '');
COMMENT ON FUNCTION bus.purged_tenant() IS 'The tenant that this transaction purges, NULL in every other transaction';

CREATE POLICY purged_alone ON tenants.invitations AS RESTRICTIVE FOR DELETE TO prog_tenants
    USING (tenant_id = (SELECT bus.purged_tenant()));
CREATE POLICY purged_alone ON tenants.limits AS RESTRICTIVE FOR DELETE TO prog_tenants
    USING (tenant_id = (SELECT bus.purged_tenant()));
CREATE POLICY purged_alone ON tenants.configs AS RESTRICTIVE FOR DELETE TO prog_tenants
    USING (tenant_id = (SELECT bus.purged_tenant()));
CREATE POLICY purged_alone ON tenants.provisioning_steps AS RESTRICTIVE FOR DELETE TO prog_tenants
    USING (tenant_id = (SELECT bus.purged_tenant()));
GRANT DELETE ON tenants.invitations, tenants.limits, tenants.configs, tenants.provisioning_steps TO prog_tenants;

-- The events domain's tables of a tenant's own events are in the carrier's schema.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['streams', 'published_events', 'event_types', 'event_schemas'] LOOP
        EXECUTE format('CREATE POLICY purged_alone ON bus.%I AS RESTRICTIVE FOR DELETE TO prog_events
            USING (tenant_id = (SELECT bus.purged_tenant()))', name);
        EXECUTE format('GRANT DELETE ON bus.%I TO prog_events', name);
    END LOOP;
END
$$;
