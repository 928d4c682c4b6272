-- The platform as an OpenID provider: clients of tenants, what people let them know, codes and tokens.
CREATE TABLE users.oauth_clients (
    client_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    name text NOT NULL,
    secret_digest text UNIQUE CHECK (secret_digest ~ '^[0-9a-f]{64}$'),
    secret_hint text,
    previous_secret_digest text CHECK (previous_secret_digest ~ '^[0-9a-f]{64}$'),
    previous_secret_until timestamptz,
    redirect_uris text[] NOT NULL,
    grants text[] NOT NULL CHECK (cardinality(grants) > 0),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    created_by text NOT NULL,
    held_by text REFERENCES users.users ON DELETE SET NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    removed_at timestamptz,
    CHECK ((secret_digest IS NULL) = (secret_hint IS NULL)),
    CHECK ((previous_secret_digest IS NULL) = (previous_secret_until IS NULL))
);
COMMENT ON COLUMN users.oauth_clients.secret_digest IS 'SHA-256 of the secret, which has 256 random bits and is nowhere; NULL for a public client';
COMMENT ON COLUMN users.oauth_clients.held_by IS
    'Who has seen the secret last: the client calls the API within the rights of this person. NULL when they have left';
CREATE INDEX oauth_clients_tenant ON users.oauth_clients (tenant_id, created_at DESC, client_id DESC);
CREATE INDEX oauth_clients_holder ON users.oauth_clients (held_by);
ALTER TABLE users.oauth_clients ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.oauth_clients FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON users.oauth_clients TO prog_users, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.oauth_clients TO prog_users;
GRANT SELECT ON users.oauth_clients TO prog_edge;

CREATE TABLE users.oauth_client_tokens (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    tenant_id text NOT NULL,
    client_id text NOT NULL REFERENCES users.oauth_clients ON DELETE CASCADE,
    held_by text NOT NULL,
    scopes text[] NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON COLUMN users.oauth_client_tokens.digest IS 'SHA-256 of the token, which has 256 random bits and is nowhere';
CREATE INDEX oauth_client_tokens_client ON users.oauth_client_tokens (client_id, expires_at);
ALTER TABLE users.oauth_client_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.oauth_client_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON users.oauth_client_tokens TO prog_users, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.oauth_client_tokens TO prog_users;
GRANT SELECT ON users.oauth_client_tokens TO prog_edge;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.oauth_consents (
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    client_id text NOT NULL REFERENCES users.oauth_clients ON DELETE CASCADE,
    client_tenant text NOT NULL,
    client_name text NOT NULL,
    scopes text[] NOT NULL,
    given_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, client_id)
);
COMMENT ON TABLE users.oauth_consents IS 'global: belongs to a person, who sees the own rows alone; ends with the client';
CREATE INDEX oauth_consents_client ON users.oauth_consents (client_id);
ALTER TABLE users.oauth_consents ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.oauth_consents FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.oauth_consents TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.oauth_consents FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.oauth_consents TO prog_users;
GRANT SELECT ON users.oauth_consents TO prog_edge;

CREATE TABLE users.oauth_authorizations (
    authorization_id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    client_id text NOT NULL REFERENCES users.oauth_clients ON DELETE CASCADE,
    session_id text NOT NULL,
    scopes text[] NOT NULL,
    authenticated_at timestamptz NOT NULL,
    amr text[] NOT NULL,
    created_at timestamptz NOT NULL,
    idle_until timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    generation int NOT NULL DEFAULT 0,
    ended_at timestamptz,
    end_reason text,
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
COMMENT ON TABLE users.oauth_authorizations IS
    'global: belongs to a person, who sees the own rows alone; what came of one authorization code';
COMMENT ON COLUMN users.oauth_authorizations.session_id IS
    'The session in which the person agreed: without the scope offline_access it ends all this, too';
CREATE INDEX oauth_authorizations_user ON users.oauth_authorizations (user_id, client_id);
CREATE INDEX oauth_authorizations_client ON users.oauth_authorizations (client_id);
CREATE INDEX oauth_authorizations_end ON users.oauth_authorizations (coalesce(ended_at, least(idle_until, expires_at)));
ALTER TABLE users.oauth_authorizations ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.oauth_authorizations FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.oauth_authorizations TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.oauth_authorizations FOR SELECT TO prog_edge
    USING (user_id = (SELECT bus.current_user_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.oauth_authorizations TO prog_users;
GRANT SELECT ON users.oauth_authorizations TO prog_edge;

CREATE TABLE users.oauth_codes (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    client_id text NOT NULL REFERENCES users.oauth_clients ON DELETE CASCADE,
    session_id text NOT NULL,
    redirect_uri text NOT NULL,
    scopes text[] NOT NULL,
    code_challenge text NOT NULL,
    nonce text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz,
    authorization_id text REFERENCES users.oauth_authorizations ON DELETE SET NULL
);
COMMENT ON TABLE users.oauth_codes IS 'global: belongs to a person; digests of authorization codes, kept after use so that a second use is noticed';
COMMENT ON COLUMN users.oauth_codes.digest IS 'SHA-256 of the code, which has 256 random bits and is nowhere';
COMMENT ON COLUMN users.oauth_codes.authorization_id IS 'What came of the first use: a second use ends it';
CREATE INDEX oauth_codes_user ON users.oauth_codes (user_id, client_id);
CREATE INDEX oauth_codes_client ON users.oauth_codes (client_id);
CREATE INDEX oauth_codes_expiry ON users.oauth_codes (expires_at);
CREATE INDEX oauth_codes_authorization ON users.oauth_codes (authorization_id) WHERE authorization_id IS NOT NULL;
ALTER TABLE users.oauth_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.oauth_codes FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.oauth_codes TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.oauth_codes TO prog_users;

CREATE TABLE users.oauth_access_tokens (
    digest text PRIMARY KEY CHECK (digest ~ '^[0-9a-f]{64}$'),
    authorization_id text NOT NULL REFERENCES users.oauth_authorizations ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    scopes text[] NOT NULL,
    issued_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE users.oauth_access_tokens IS 'global: belongs to a person; digests of tokens with which clients ask about them';
CREATE INDEX oauth_access_tokens_authorization ON users.oauth_access_tokens (authorization_id);
CREATE INDEX oauth_access_tokens_user ON users.oauth_access_tokens (user_id);
CREATE INDEX oauth_access_tokens_expiry ON users.oauth_access_tokens (expires_at);
ALTER TABLE users.oauth_access_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.oauth_access_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.oauth_access_tokens TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.oauth_access_tokens FOR SELECT TO prog_edge
    USING (user_id = (SELECT bus.current_user_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.oauth_access_tokens TO prog_users;
GRANT SELECT ON users.oauth_access_tokens TO prog_edge;

CREATE TABLE users.oauth_refresh_tokens (
    digest text PRIMARY KEY,
    authorization_id text NOT NULL REFERENCES users.oauth_authorizations ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    generation int NOT NULL,
    issued_at timestamptz NOT NULL,
    replaced_at timestamptz,
    UNIQUE (authorization_id, generation)
);
COMMENT ON TABLE users.oauth_refresh_tokens IS
    'global: belongs to a person; keyed digests, kept after use so that a second use is noticed';
CREATE INDEX oauth_refresh_tokens_user ON users.oauth_refresh_tokens (user_id);
ALTER TABLE users.oauth_refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.oauth_refresh_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.oauth_refresh_tokens TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.oauth_refresh_tokens FOR SELECT TO prog_edge
    USING (user_id = (SELECT bus.current_user_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.oauth_refresh_tokens TO prog_users;
GRANT SELECT ON users.oauth_refresh_tokens TO prog_edge;

-- ---------------------------------------------------------------------------------------------------------------------
-- ID tokens are signed with RSA (RS256), which every client of OpenID Connect can check.
ALTER TABLE users.signing_keys
    DROP CONSTRAINT signing_keys_algorithm_check,
    ADD CONSTRAINT signing_keys_algorithm_check CHECK (algorithm IN ('EdDSA', 'RS256'));
COMMENT ON TABLE users.signing_keys IS
    'global: keys that sign access and ID tokens; the private halves are sealed and readable by the users domain alone';
COMMENT ON COLUMN users.signing_keys.public_key IS
    'In base64url: of EdDSA the member x of the JWK (RFC 8037), of RS256 its modulus n (RFC 7518), with the exponent 65537';
