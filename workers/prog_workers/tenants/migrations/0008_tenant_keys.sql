-- The keys under which each tenant's secrets rest (prog_kit.tenant_secrets), wrapped by PROG_SECRET_KEYS. They are in the
-- carrier's schema, for every domain seals with them; the tenants domain destroys them when a tenant is purged.
CREATE TABLE bus.tenant_keys (
    tenant_id text NOT NULL,
    number int NOT NULL CHECK (number > 0),
    wrapped text NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, number)
);
ALTER TABLE bus.tenant_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.tenant_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON bus.tenant_keys TO prog_worker, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
-- After a rotation of PROG_SECRET_KEYS the domain wraps all of them anew; without those keys it reads nothing in them.
CREATE POLICY wraps_anew ON bus.tenant_keys FOR SELECT TO prog_tenants USING (true);
CREATE POLICY wraps_anew_all ON bus.tenant_keys FOR UPDATE TO prog_tenants USING (true) WITH CHECK (true);
CREATE POLICY purged_alone ON bus.tenant_keys AS RESTRICTIVE FOR DELETE TO prog_worker
    USING (tenant_id = (SELECT bus.purged_tenant()));
GRANT SELECT, INSERT ON bus.tenant_keys TO prog_worker;
GRANT UPDATE (wrapped) ON bus.tenant_keys TO prog_tenants;
GRANT DELETE ON bus.tenant_keys TO prog_tenants;
GRANT SELECT ON bus.tenant_keys TO prog_edge;
