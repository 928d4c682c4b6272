-- Proofs are numbered across tenants: who proves a domain has a higher number than whoever had it before.
ALTER TABLE tenants.proven_domains ADD COLUMN proof bigint GENERATED ALWAYS AS IDENTITY;
COMMENT ON COLUMN tenants.proven_domains.proof IS 'Higher than that of whichever tenant had proven the domain before';
GRANT SELECT (proof) ON tenants.proven_domains TO prog_exporter;

-- Members. Of several policies that allow a row PostgreSQL makes one condition with OR, believes that next to nothing fits it,
-- and reads and sorts all members for a page of them. As CASE it means the same, and the query's own condition on tenant or
-- person is what an index is asked.
DROP POLICY own_memberships ON tenants.members;
DROP POLICY own_name ON tenants.members;
DROP POLICY tenant_isolation ON tenants.members;
CREATE POLICY tenant_isolation ON tenants.members FOR SELECT TO prog_tenants, prog_edge
    USING (CASE WHEN tenant_id = (SELECT bus.current_tenant()) THEN true ELSE user_id = (SELECT bus.current_user_id()) END);
CREATE POLICY tenant_inserts ON tenants.members FOR INSERT TO prog_tenants
    WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
-- The domain keeps a person's name up to date in all tenants.
CREATE POLICY tenant_updates ON tenants.members FOR UPDATE TO prog_tenants
    USING (CASE WHEN tenant_id = (SELECT bus.current_tenant()) THEN true ELSE user_id = (SELECT bus.current_user_id()) END)
    WITH CHECK (tenant_id = (SELECT bus.current_tenant()) OR user_id = (SELECT bus.current_user_id()));
CREATE POLICY tenant_deletes ON tenants.members FOR DELETE TO prog_tenants
    USING (tenant_id = (SELECT bus.current_tenant()));

-- What a provider calls its users and groups, by which it asks for them, as a column: of what is inside a document no index
-- is asked behind a policy.
DROP INDEX tenants.directory_users_external, tenants.directory_groups_external;
ALTER TABLE tenants.directory_users ADD COLUMN external_id text GENERATED ALWAYS AS (sought ->> 'externalId') STORED;
ALTER TABLE tenants.directory_groups ADD COLUMN external_id text GENERATED ALWAYS AS (sought ->> 'externalId') STORED;
COMMENT ON COLUMN tenants.directory_users.external_id IS 'As it is compared; in an export it is within `resource`';
COMMENT ON COLUMN tenants.directory_groups.external_id IS 'As it is compared; in an export it is within `resource`';

-- What ended long ago is let go of (infra/adr/0034-plans-and-retention.md), and how often a mailbox was written to.
ALTER TABLE tenants.invitations ADD COLUMN mailed_at timestamptz[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN tenants.invitations.mailed_at IS 'When its link was mailed within the last day, on the tenant''s clock: so many go to one address';
GRANT SELECT (mailed_at) ON tenants.invitations TO prog_exporter;

CREATE POLICY retention_reads ON tenants.invitations FOR SELECT TO prog_tenants
    USING (CASE WHEN settled_at IS NULL THEN expires_at ELSE settled_at END < (SELECT bus.kept_since()));
CREATE POLICY retention_deletes ON tenants.invitations FOR DELETE TO prog_tenants
    USING (CASE WHEN settled_at IS NULL THEN expires_at ELSE settled_at END < (SELECT bus.kept_since()));
ALTER POLICY purged_alone ON tenants.invitations
    USING (tenant_id = (SELECT bus.purged_tenant()) OR CASE WHEN settled_at IS NULL THEN expires_at ELSE settled_at END < (SELECT bus.kept_since()));

CREATE POLICY retention_reads ON tenants.logos FOR SELECT TO prog_tenants USING (stored_at < (SELECT bus.kept_since()));
CREATE POLICY retention_deletes ON tenants.logos FOR DELETE TO prog_tenants USING (stored_at < (SELECT bus.kept_since()));
ALTER POLICY purged_alone ON tenants.logos
    USING (tenant_id = (SELECT bus.purged_tenant()) OR stored_at < (SELECT bus.kept_since()));
-- Which pictures are named is asked of all versions.
CREATE POLICY retention_reads ON tenants.config_versions FOR SELECT TO prog_tenants
    USING ((SELECT bus.kept_since()) IS NOT NULL);
COMMENT ON TABLE tenants.logos IS 'PNGs that the edge has drawn anew; kept while a version of the configuration names one that held lately';
