-- Customers of the platform: tenants, their members, invitations, limits and configuration.
CREATE SCHEMA tenants;
GRANT USAGE ON SCHEMA tenants TO prog_tenants, prog_edge, prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE tenants.tenants (
    tenant_id text PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL UNIQUE,
    status text NOT NULL CHECK (status IN ('provisioning', 'active', 'suspended', 'deleting', 'deleted')),
    plan text,
    owner_user_id text,
    owner_email text,
    owner_name text,
    member_count int NOT NULL DEFAULT 0 CHECK (member_count >= 0),
    first_paid_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON COLUMN tenants.tenants.plan IS 'What the tenant pays for, as payments says; NULL is the free plan';
COMMENT ON COLUMN tenants.tenants.member_count IS 'Kept with the members, so that a list of tenants needs no rows of theirs';
CREATE INDEX tenants_created ON tenants.tenants (created_at DESC, tenant_id DESC);

-- The platform is itself a tenant (prog_contracts.ids.PLATFORM_TENANT_ID): sign-up, sign-in and leads run under it.
INSERT INTO tenants.tenants (tenant_id, name, slug, status, created_at, updated_at)
VALUES ('tenant_00000000000000000000000001', 'ProgNetwork', 'platform', 'active', clock_timestamp(), clock_timestamp());

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE tenants.members (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    user_id text NOT NULL,
    email text NOT NULL,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'member', 'viewer')),
    invitation_id text,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, user_id)
);
CREATE INDEX members_user ON tenants.members (user_id, joined_at);

ALTER TABLE tenants.members ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.members FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenants.members TO prog_tenants, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
-- A person sees, and the domain keeps up to date, that person's memberships in all tenants.
CREATE POLICY own_memberships ON tenants.members FOR SELECT TO prog_tenants, prog_edge
    USING (user_id = (SELECT bus.current_user_id()));
CREATE POLICY own_name ON tenants.members FOR UPDATE TO prog_tenants
    USING (user_id = (SELECT bus.current_user_id())) WITH CHECK (user_id = (SELECT bus.current_user_id()));
CREATE POLICY operator_reads ON tenants.members FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants.members TO prog_tenants;
GRANT SELECT ON tenants.members TO prog_edge, prog_operator;

ALTER TABLE tenants.tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenants.tenants TO prog_tenants, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY own_tenants ON tenants.tenants FOR SELECT TO prog_edge
    USING (tenant_id IN (SELECT m.tenant_id FROM tenants.members AS m WHERE m.user_id = (SELECT bus.current_user_id())));
CREATE POLICY operator_reads ON tenants.tenants FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON tenants.tenants TO prog_tenants;
GRANT SELECT ON tenants.tenants TO prog_edge, prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE tenants.staff (
    user_id text PRIMARY KEY,
    role text NOT NULL CHECK (role IN ('operator', 'support'))
);
COMMENT ON TABLE tenants.staff IS 'global: people of the platform, who act in any tenant; holds no tenant''s data';
ALTER TABLE tenants.staff ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.staff FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON tenants.staff TO prog_tenants USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON tenants.staff TO prog_tenants;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE tenants.invitations (
    invitation_id text PRIMARY KEY,
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    email text NOT NULL,
    role text NOT NULL CHECK (role IN ('owner', 'admin', 'billing', 'member', 'viewer')),
    token_digest text NOT NULL UNIQUE,
    invited_by text,
    inviter_name text NOT NULL,
    status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'accepted', 'revoked')),
    accepted_by text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    settled_at timestamptz
);
COMMENT ON COLUMN tenants.invitations.token_digest IS 'Keyed digest; the token itself is in the mail alone';
CREATE UNIQUE INDEX invitations_one_open ON tenants.invitations (tenant_id, email) WHERE status = 'open';
CREATE INDEX invitations_tenant ON tenants.invitations (tenant_id, created_at DESC);
ALTER TABLE tenants.invitations ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.invitations FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenants.invitations TO prog_tenants, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON tenants.invitations FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON tenants.invitations TO prog_tenants;
GRANT SELECT (invitation_id, tenant_id, email, role, invited_by, inviter_name, status, accepted_by, created_at,
              expires_at, settled_at) ON tenants.invitations TO prog_edge, prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE tenants.limits (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    name text NOT NULL,
    value bigint CHECK (value >= 0),
    PRIMARY KEY (tenant_id, name)
);
COMMENT ON COLUMN tenants.limits.value IS 'NULL is without limit';

CREATE TABLE tenants.configs (
    tenant_id text PRIMARY KEY REFERENCES tenants.tenants,
    version int NOT NULL DEFAULT 1 CHECK (version > 0),
    settings jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL
);

CREATE TABLE tenants.provisioning_steps (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    step text NOT NULL,
    done_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, step)
);
COMMENT ON TABLE tenants.provisioning_steps IS 'What is done of a tenant''s provisioning, so that it goes on where it was interrupted';

ALTER TABLE tenants.limits ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.limits FORCE ROW LEVEL SECURITY;
ALTER TABLE tenants.configs ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.configs FORCE ROW LEVEL SECURITY;
ALTER TABLE tenants.provisioning_steps ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenants.provisioning_steps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenants.limits TO prog_tenants, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY tenant_isolation ON tenants.configs TO prog_tenants, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY tenant_isolation ON tenants.provisioning_steps TO prog_tenants, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON tenants.limits FOR SELECT TO prog_operator USING (true);
CREATE POLICY operator_reads ON tenants.configs FOR SELECT TO prog_operator USING (true);
CREATE POLICY operator_reads ON tenants.provisioning_steps FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON tenants.limits, tenants.configs, tenants.provisioning_steps TO prog_tenants;
GRANT SELECT ON tenants.limits, tenants.configs, tenants.provisioning_steps TO prog_edge, prog_operator;
