-- A tenant's directory: who its identity provider says, over SCIM, is to be a member (infra/adr/0023-scim.md).
CREATE TABLE tenants.directories (
    tenant_id text PRIMARY KEY REFERENCES tenants.tenants,
    default_role text NOT NULL CHECK (default_role IN ('member', 'viewer')),
    updated_at timestamptz NOT NULL
);
COMMENT ON COLUMN tenants.directories.default_role IS 'What those get who are in no group with a role; without a row it is member';

CREATE TABLE tenants.directory_users (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    directory_user_id text NOT NULL,
    name_key text NOT NULL,
    email text,
    active boolean NOT NULL,
    user_id text,
    account_email text,
    account_name text,
    role text CHECK (role IN ('admin', 'billing', 'member', 'viewer')),
    resource jsonb NOT NULL,
    sought jsonb NOT NULL,
    version int NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, directory_user_id)
);
COMMENT ON COLUMN tenants.directory_users.name_key IS 'userName as it is compared: NFC, lower case';
COMMENT ON COLUMN tenants.directory_users.email IS 'Where the person is invited, in the one spelling; NULL while the provider gives no address';
COMMENT ON COLUMN tenants.directory_users.user_id IS 'The account that has proven the address and joined; kept while the provider has suspended it, forgotten when the person leaves';
COMMENT ON COLUMN tenants.directory_users.account_email IS 'What the membership was known by when it was suspended, to take it up again';
COMMENT ON COLUMN tenants.directory_users.role IS 'The role that the groups gave last: only a change of it changes the member';
COMMENT ON COLUMN tenants.directory_users.resource IS 'What the provider has said, as SCIM writes it';
COMMENT ON COLUMN tenants.directory_users.sought IS 'The same with texts as they are compared, for filters and order';
CREATE UNIQUE INDEX directory_users_name ON tenants.directory_users (tenant_id, name_key);
CREATE UNIQUE INDEX directory_users_email ON tenants.directory_users (tenant_id, email);
CREATE UNIQUE INDEX directory_users_account ON tenants.directory_users (tenant_id, user_id);
CREATE INDEX directory_users_external ON tenants.directory_users (tenant_id, (sought ->> 'externalId'));
CREATE INDEX directory_users_created ON tenants.directory_users (tenant_id, created_at, directory_user_id);

CREATE TABLE tenants.directory_groups (
    tenant_id text NOT NULL REFERENCES tenants.tenants,
    directory_group_id text NOT NULL,
    name_key text NOT NULL,
    role text CHECK (role IN ('admin', 'billing', 'member', 'viewer')),
    resource jsonb NOT NULL,
    sought jsonb NOT NULL,
    version int NOT NULL DEFAULT 1 CHECK (version > 0),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, directory_group_id)
);
COMMENT ON COLUMN tenants.directory_groups.role IS 'What it gives its people, as the tenant has said; NULL is nothing';
CREATE UNIQUE INDEX directory_groups_name ON tenants.directory_groups (tenant_id, name_key);
CREATE INDEX directory_groups_external ON tenants.directory_groups (tenant_id, (sought ->> 'externalId'));
CREATE INDEX directory_groups_created ON tenants.directory_groups (tenant_id, created_at, directory_group_id);

CREATE TABLE tenants.directory_group_members (
    tenant_id text NOT NULL,
    directory_group_id text NOT NULL,
    directory_user_id text NOT NULL,
    PRIMARY KEY (tenant_id, directory_group_id, directory_user_id),
    FOREIGN KEY (tenant_id, directory_group_id) REFERENCES tenants.directory_groups ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, directory_user_id) REFERENCES tenants.directory_users ON DELETE CASCADE
);
CREATE INDEX directory_group_members_user ON tenants.directory_group_members (tenant_id, directory_user_id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['directories', 'directory_users', 'directory_groups', 'directory_group_members'] LOOP
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

-- As with invitations: what names a person who is erased is found whichever tenant's it is.
CREATE POLICY erasure_reads ON tenants.directory_users FOR SELECT TO prog_tenants
    USING ((SELECT bus.erased_person()) IS NOT NULL);
CREATE POLICY erasure_deletes ON tenants.directory_users FOR DELETE TO prog_tenants
    USING ((SELECT bus.erased_person()) IS NOT NULL);

ALTER TABLE tenants.invitations ADD COLUMN directory_user_id text;
COMMENT ON COLUMN tenants.invitations.directory_user_id IS 'The entry of the directory that it follows from; its groups say the role until it is accepted';
