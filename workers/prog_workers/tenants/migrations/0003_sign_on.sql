-- Sign-on with a tenant's own OpenID provider, and the domains of addresses that it may speak for.
CREATE TABLE tenants.sign_on (
    tenant_id text PRIMARY KEY REFERENCES tenants.tenants,
    issuer text NOT NULL,
    client_id text NOT NULL,
    sealed_client_secret text NOT NULL,
    default_role text NOT NULL CHECK (default_role IN ('viewer', 'member', 'billing')),
    enforced boolean NOT NULL,
    updated_by text,
    updated_at timestamptz NOT NULL
);
COMMENT ON COLUMN tenants.sign_on.sealed_client_secret IS 'Sealed for this tenant alone: moved to another one''s row it does not open';

CREATE TABLE tenants.domain_claims (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    domain text NOT NULL,
    token text NOT NULL,
    claimed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, domain)
);
COMMENT ON COLUMN tenants.domain_claims.token IS 'No secret: it is published in the domain''s DNS';

CREATE TABLE tenants.proven_domains (
    domain text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    proven_at timestamptz NOT NULL,
    FOREIGN KEY (tenant_id, domain) REFERENCES tenants.domain_claims ON DELETE CASCADE
);
COMMENT ON COLUMN tenants.proven_domains.domain IS 'One tenant''s at a time, whichever proves it first';
CREATE INDEX proven_domains_tenant ON tenants.proven_domains (tenant_id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['sign_on', 'domain_claims', 'proven_domains'] LOOP
        EXECUTE format('ALTER TABLE tenants.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE tenants.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON tenants.%I TO prog_tenants, prog_edge
            USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON tenants.%I FOR SELECT TO prog_operator USING (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenants.%I TO prog_tenants', name);
    END LOOP;
END
$$;
GRANT SELECT ON tenants.sign_on, tenants.domain_claims, tenants.proven_domains TO prog_edge;
GRANT SELECT ON tenants.domain_claims, tenants.proven_domains TO prog_operator;
GRANT SELECT (tenant_id, issuer, client_id, default_role, enforced, updated_by, updated_at) ON tenants.sign_on TO prog_operator;
