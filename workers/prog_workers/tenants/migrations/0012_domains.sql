-- Domains that were proven are looked up again, every day; whose record is gone for a week loses them.
ALTER TABLE tenants.proven_domains
    ADD COLUMN checked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN missing_since timestamptz;
COMMENT ON COLUMN tenants.proven_domains.checked_at IS 'On the machine''s clock, for the DNS knows no test clocks: when the record was looked for last';
COMMENT ON COLUMN tenants.proven_domains.missing_since IS 'On the machine''s clock: when it was not there for the first time; NULL while it is there';
CREATE INDEX proven_domains_checked ON tenants.proven_domains (checked_at);
GRANT SELECT (checked_at, missing_since) ON tenants.proven_domains TO prog_exporter;

-- Which domains are due, whoever's they are: their names and their tenants' ids alone.
CREATE FUNCTION tenants.domains_to_check(most integer) RETURNS TABLE (tenant_id text, domain text)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT p.tenant_id, p.domain FROM tenants.proven_domains AS p
    WHERE p.checked_at < clock_timestamp() - interval '20 hours' ORDER BY p.checked_at LIMIT most
$$;
REVOKE ALL ON FUNCTION tenants.domains_to_check(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants.domains_to_check(integer) TO prog_tenants;
