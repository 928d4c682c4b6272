-- Keys of tenants' programs. A key belongs to one tenant and works within the rights of the person who made it.
CREATE TABLE users.api_keys (
    key_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    name text NOT NULL,
    digest text NOT NULL UNIQUE CHECK (digest ~ '^[0-9a-f]{64}$'),
    hint text NOT NULL,
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_by text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    last_used_at timestamptz,
    last_used_address text,
    revoked_at timestamptz,
    revoked_by text,
    replaces text,
    replaced_by text
);
COMMENT ON COLUMN users.api_keys.digest IS 'SHA-256 of the key, which has 178 random bits; the key itself is nowhere';
COMMENT ON COLUMN users.api_keys.hint IS 'The first characters of its secret, by which people tell keys apart';
COMMENT ON COLUMN users.api_keys.expires_at IS 'By the wall clock, also where the tenant has a test clock; NULL is never';
COMMENT ON COLUMN users.api_keys.revoked_by IS 'NULL for a key that ended with its tenant, or because its maker is no member any more';
CREATE INDEX api_keys_tenant ON users.api_keys (tenant_id, created_at DESC, key_id DESC);
CREATE INDEX api_keys_maker ON users.api_keys (created_by);
ALTER TABLE users.api_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.api_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON users.api_keys TO prog_users, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON users.api_keys FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON users.api_keys TO prog_users;
GRANT SELECT ON users.api_keys TO prog_edge;
GRANT SELECT (key_id, tenant_id, name, hint, scopes, created_by, created_at, expires_at, last_used_at, last_used_address,
              revoked_at, revoked_by, replaces, replaced_by) ON users.api_keys TO prog_operator;
