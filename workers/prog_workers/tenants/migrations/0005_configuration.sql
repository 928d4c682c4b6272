-- A tenant's configuration with all of its versions, and the pictures that it names (infra/adr/0026-what-a-tenant-sets.md).
-- tenants.configs stays the document that holds; config_versions is its history, the present version included.
CREATE TABLE tenants.config_versions (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    version int NOT NULL CHECK (version > 0),
    settings jsonb NOT NULL,
    changed text[] NOT NULL,
    changed_by text,
    reason text,
    restored_version int,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, version)
);
COMMENT ON COLUMN tenants.config_versions.changed_by IS 'The actor: a person, a key of theirs, or a process of the platform';
COMMENT ON COLUMN tenants.config_versions.restored_version IS 'The earlier version whose document this one is again';
INSERT INTO tenants.config_versions (tenant_id, version, settings, changed, changed_at)
SELECT tenant_id, version, settings, '{}', updated_at FROM tenants.configs;

CREATE TABLE tenants.logos (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    logo_id text NOT NULL,
    content bytea NOT NULL CHECK (octet_length(content) <= 131072),
    width int NOT NULL CHECK (width > 0),
    height int NOT NULL CHECK (height > 0),
    stored_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, logo_id)
);
COMMENT ON TABLE tenants.logos IS 'PNGs that the edge has drawn anew; a version of the configuration may name one for ever';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['config_versions', 'logos'] LOOP
        EXECUTE format('ALTER TABLE tenants.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON tenants.%I TO prog_tenants, prog_edge
            USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON tenants.%I FOR SELECT TO prog_operator USING (true)', name);
        EXECUTE format('CREATE POLICY purged_alone ON tenants.%I AS RESTRICTIVE FOR DELETE TO prog_tenants
            USING (tenant_id = (SELECT bus.purged_tenant()))', name);
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON tenants.%I TO prog_tenants', name);
        EXECUTE format('GRANT SELECT ON tenants.%I TO prog_edge, prog_operator', name);
    END LOOP;
END
$$;
