-- Custom domains: host names of tenants' own, at which their account pages answer.
CREATE TABLE tenants.custom_domains (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    domain text NOT NULL,
    token text NOT NULL,
    claimed_at timestamptz NOT NULL,
    lost_at timestamptz,
    looked_at timestamptz,
    problem text CHECK (problem IN ('no_such_name', 'record_missing', 'record_different', 'timed_out', 'server_failed',
                                    'proven_elsewhere', 'points_nowhere', 'points_elsewhere')),
    seen text[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, domain)
);
COMMENT ON COLUMN tenants.custom_domains.token IS 'No secret: it is published in the domain''s DNS';
COMMENT ON COLUMN tenants.custom_domains.looked_at IS 'On the machine''s clock, for the DNS knows no test clocks: when its DNS was asked last';
COMMENT ON COLUMN tenants.custom_domains.problem IS 'What that found wrong, NULL where nothing is; seen is what there was instead';

-- Those that are proven. The edge routes by these, and knows a tenant by nothing else that a request says.
CREATE TABLE tenants.served_domains (
    domain text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    proven_at timestamptz NOT NULL,
    active_at timestamptz,
    served_since timestamptz NOT NULL DEFAULT clock_timestamp(),
    checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    missing_since timestamptz,
    FOREIGN KEY (tenant_id, domain) REFERENCES tenants.custom_domains ON DELETE CASCADE
);
COMMENT ON COLUMN tenants.served_domains.domain IS 'One tenant''s at a time, whichever proves it first';
COMMENT ON COLUMN tenants.served_domains.active_at IS 'Since when it leads to the platform, NULL while it does not';
COMMENT ON COLUMN tenants.served_domains.served_since IS 'On the machine''s clock: when it was proven';
COMMENT ON COLUMN tenants.served_domains.checked_at IS 'On the machine''s clock: when the record was looked for last';
COMMENT ON COLUMN tenants.served_domains.missing_since IS 'On the machine''s clock: when it was not there for the first time; NULL while it is there';
CREATE INDEX served_domains_tenant ON tenants.served_domains (tenant_id);
CREATE INDEX served_domains_checked ON tenants.served_domains (checked_at);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['custom_domains', 'served_domains'] LOOP
        EXECUTE format('ALTER TABLE tenants.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE tenants.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON tenants.%I TO prog_tenants, prog_edge
            USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON tenants.%I FOR SELECT TO prog_operator USING (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON tenants.%I TO prog_tenants', name);
        EXECUTE format('GRANT SELECT ON tenants.%I TO prog_edge, prog_operator', name);
    END LOOP;
END
$$;
SELECT bus.let_tenants_export('tenants.custom_domains');
SELECT bus.let_tenants_export('tenants.served_domains');

-- Which are due, whoever's they are: daily, and every ten minutes in the week after one was proven that leads nowhere yet.
CREATE FUNCTION tenants.custom_domains_to_check(most integer) RETURNS TABLE (tenant_id text, domain text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT s.tenant_id, s.domain FROM tenants.served_domains AS s
    WHERE s.checked_at < clock_timestamp() - interval '20 hours'
       OR (s.active_at IS NULL AND s.checked_at < clock_timestamp() - interval '10 minutes'
           AND s.served_since > clock_timestamp() - interval '7 days')
    ORDER BY s.checked_at LIMIT most
$$;
REVOKE ALL ON FUNCTION tenants.custom_domains_to_check(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants.custom_domains_to_check(integer) TO prog_tenants;
