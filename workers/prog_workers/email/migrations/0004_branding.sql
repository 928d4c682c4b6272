-- How each tenant wants its mails to look, as the tenants domain told it.
CREATE TABLE email.brandings (
    tenant_id text PRIMARY KEY,
    tenant_name text,
    version int NOT NULL DEFAULT 0,
    settings jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE email.brandings IS 'The tenant''s name and its newest configuration, for mails that are written in its name';
ALTER TABLE email.brandings ENABLE ROW LEVEL SECURITY;
ALTER TABLE email.brandings FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON email.brandings TO prog_email
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON email.brandings FOR SELECT TO prog_operator USING (true);
CREATE POLICY purged_alone ON email.brandings AS RESTRICTIVE FOR DELETE TO prog_email
    USING (tenant_id = (SELECT bus.purged_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON email.brandings TO prog_email;
GRANT SELECT ON email.brandings TO prog_operator;
