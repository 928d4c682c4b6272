-- How many events each tenant has published in each month, as they pass; the month is the machine's. It is in the carrier's
-- schema: monitoring's own holds figures of the whole platform, and nothing of a tenant's.
CREATE TABLE bus.tenant_usage (
    tenant_id text NOT NULL,
    month date NOT NULL,
    events bigint NOT NULL CHECK (events >= 0),
    PRIMARY KEY (tenant_id, month)
) WITH (fillfactor = 50);
ALTER TABLE bus.tenant_usage ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.tenant_usage FORCE ROW LEVEL SECURITY;
-- The domain counts a batch across tenants at once.
CREATE POLICY counts ON bus.tenant_usage TO prog_monitoring USING (true) WITH CHECK (true);
CREATE POLICY tenant_isolation ON bus.tenant_usage FOR SELECT TO prog_edge
    USING (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON bus.tenant_usage FOR SELECT TO prog_operator USING (true);
CREATE POLICY purged_alone ON bus.tenant_usage AS RESTRICTIVE FOR DELETE TO prog_monitoring
    USING (tenant_id = (SELECT bus.purged_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.tenant_usage TO prog_monitoring;
GRANT SELECT ON bus.tenant_usage TO prog_edge, prog_operator;
