-- Client secrets of tenants' providers rest under the tenant's own key (prog_kit.tenant_secrets), and end with it. Those
-- from before rest under PROG_SECRET_KEYS until the nightly command has sealed them anew; both are read.
ALTER TABLE tenants.sign_on
    ADD COLUMN sealed_under text NOT NULL DEFAULT 'platform' CHECK (sealed_under IN ('platform', 'tenant'));
COMMENT ON COLUMN tenants.sign_on.sealed_under IS 'Whose key has sealed the client secret';
GRANT SELECT (sealed_under) ON tenants.sign_on TO prog_operator;

-- Which tenants have something to be sealed anew: their ids alone, whoever's they are.
CREATE FUNCTION tenants.sealed_under_platform(after text, most integer) RETURNS SETOF text
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT tenant_id FROM tenants.sign_on WHERE sealed_under = 'platform' AND tenant_id > after
    ORDER BY tenant_id LIMIT most
$$;
REVOKE ALL ON FUNCTION tenants.sealed_under_platform(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants.sealed_under_platform(text, integer) TO prog_tenants;
