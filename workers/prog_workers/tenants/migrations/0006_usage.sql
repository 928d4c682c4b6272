-- Marks of limits that were reached, of which the owners were told: once for each period and limit.
CREATE TABLE tenants.usage_marks (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    quota text NOT NULL,
    period text NOT NULL,
    limit_value bigint NOT NULL,
    percent int NOT NULL,
    reached_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, quota, period, limit_value, percent)
);
ALTER TABLE tenants.usage_marks ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.usage_marks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenants.usage_marks TO prog_tenants
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON tenants.usage_marks FOR SELECT TO prog_operator USING (true);
CREATE POLICY purged_alone ON tenants.usage_marks AS RESTRICTIVE FOR DELETE TO prog_tenants
    USING (tenant_id = (SELECT bus.purged_tenant()));
GRANT SELECT, INSERT, DELETE ON tenants.usage_marks TO prog_tenants;
GRANT SELECT ON tenants.usage_marks TO prog_operator;

-- Every tenant has the limit on API keys of its plan; mails are not counted.
DELETE FROM tenants.limits WHERE name = 'mails_per_month';
INSERT INTO tenants.limits (tenant_id, name, value)
SELECT l.tenant_id, 'api_keys', CASE WHEN t.plan IS NULL THEN 20 WHEN lower(t.plan) IN ('growth', 'scale') THEN 100 ELSE 50 END
FROM tenants.limits AS l JOIN tenants.tenants AS t USING (tenant_id)
WHERE l.name = 'members'
ON CONFLICT DO NOTHING;
