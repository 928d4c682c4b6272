-- Tenants' own hosts, to which links in mails may lead, as the tenants domain told it (infra/adr/0032-custom-domains.md).
CREATE TABLE email.sites (
    site_tenant_id text PRIMARY KEY,
    mail_domain text,
    address_domains text[] NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE email.sites IS 'global: read for mails of the platform itself, which somebody has asked for at a tenant''s host';
COMMENT ON COLUMN email.sites.mail_domain IS 'The custom domain that is active; NULL where links lead to the platform';
COMMENT ON COLUMN email.sites.address_domains IS 'Domains of addresses that the tenant has proven: who has those reads their mail anyway';
ALTER TABLE email.sites ENABLE ROW LEVEL SECURITY;
ALTER TABLE email.sites FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON email.sites TO prog_email USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON email.sites TO prog_email;

ALTER TABLE email.mails ADD COLUMN site_tenant_id text;
COMMENT ON COLUMN email.mails.site_tenant_id IS 'The tenant at whose own host it was asked for; NULL at the platform''s';
GRANT SELECT (site_tenant_id) ON email.mails TO prog_exporter;
