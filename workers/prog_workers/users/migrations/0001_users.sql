-- People, their credentials and sessions. A person is global: one account, many tenants.
-- Tables with secrets are readable by the users domain alone; what others may read, they read column by column.
CREATE SCHEMA users;
GRANT USAGE ON SCHEMA users TO prog_users, prog_edge, prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.users (
    user_id text PRIMARY KEY,
    email text NOT NULL UNIQUE CHECK (email = lower(email)),
    name text NOT NULL,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'disabled')),
    platform_role text CHECK (platform_role IN ('operator', 'support')),
    email_verified_at timestamptz,
    verification_mail_id text,
    verification_mail_sent_at timestamptz,
    wanted_tenant_name text,
    home_tenant_id text,
    first_paid_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
COMMENT ON TABLE users.users IS 'global: a person has one account for all tenants; who sees which rows is decided by role';
COMMENT ON COLUMN users.users.email IS 'In the one spelling of prog_contracts.inputs.normalize_email';
COMMENT ON COLUMN users.users.verification_mail_id IS 'The latest verification mail; what email says about it is recorded here';
COMMENT ON COLUMN users.users.wanted_tenant_name IS 'The organisation named at sign-up; made when the address is verified';
COMMENT ON COLUMN users.users.home_tenant_id IS 'The tenant that sign-in opens: the first one made or joined';
COMMENT ON COLUMN users.users.first_paid_at IS 'When the home tenant first paid; such an account is never cleared away as abandoned';
CREATE INDEX users_created ON users.users (created_at DESC, user_id DESC);
CREATE INDEX users_email_prefix ON users.users (email text_pattern_ops);
CREATE INDEX users_home_tenant ON users.users (home_tenant_id) WHERE home_tenant_id IS NOT NULL;
CREATE INDEX users_verification_mail ON users.users (verification_mail_id) WHERE verification_mail_id IS NOT NULL;

ALTER TABLE users.users ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.users FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.users TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_row ON users.users FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
CREATE POLICY operator_reads ON users.users FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON users.users TO prog_users;
GRANT SELECT ON users.users TO prog_edge, prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.passwords (
    user_id text PRIMARY KEY REFERENCES users.users ON DELETE CASCADE,
    hash text NOT NULL CHECK (hash LIKE '$argon2id$%'),
    changed_at timestamptz NOT NULL
);
COMMENT ON TABLE users.passwords IS 'global: belongs to a person; readable by the users domain alone';
COMMENT ON COLUMN users.passwords.hash IS 'argon2id in PHC form, so that each row tells its own parameters';
ALTER TABLE users.passwords ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.passwords FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.passwords TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.passwords TO prog_users;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.link_tokens (
    digest text PRIMARY KEY,
    purpose text NOT NULL CHECK (purpose IN ('verify_email')),
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    email text NOT NULL,
    sign_up_name text,
    sign_up_password_hash text,
    sign_up_tenant_name text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz
);
COMMENT ON TABLE users.link_tokens IS 'global: belongs to a person; keyed digests of single-use tokens that were mailed';
COMMENT ON COLUMN users.link_tokens.sign_up_password_hash IS
    'Of a later sign-up with an address that nobody has verified yet: its own link makes it the one that counts';
CREATE INDEX link_tokens_user ON users.link_tokens (user_id, purpose, created_at DESC);
CREATE INDEX link_tokens_expiry ON users.link_tokens (expires_at);
ALTER TABLE users.link_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.link_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.link_tokens TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.link_tokens TO prog_users;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.sessions (
    session_id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    method text NOT NULL CHECK (method IN ('password')),
    client_address text,
    user_agent text,
    created_at timestamptz NOT NULL,
    refreshed_at timestamptz NOT NULL,
    idle_until timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    generation int NOT NULL DEFAULT 0,
    ended_at timestamptz,
    end_reason text CHECK (end_reason IN ('signed_out', 'revoked', 'refresh_reused', 'expired')),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
COMMENT ON TABLE users.sessions IS 'global: belongs to a person, who sees the own rows alone';
COMMENT ON COLUMN users.sessions.generation IS 'Number of the refresh token that is good now';
CREATE INDEX sessions_user ON users.sessions (user_id, created_at DESC);
ALTER TABLE users.sessions ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.sessions FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.sessions TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.sessions FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
CREATE POLICY operator_reads ON users.sessions FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.sessions TO prog_users;
GRANT SELECT ON users.sessions TO prog_edge, prog_operator;

CREATE TABLE users.refresh_tokens (
    digest text PRIMARY KEY,
    session_id text NOT NULL REFERENCES users.sessions ON DELETE CASCADE,
    generation int NOT NULL,
    issued_at timestamptz NOT NULL,
    replaced_at timestamptz,
    UNIQUE (session_id, generation)
);
COMMENT ON TABLE users.refresh_tokens IS 'global: belongs to a session; keyed digests, kept after use so that a second use is noticed';
ALTER TABLE users.refresh_tokens ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.refresh_tokens FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.refresh_tokens TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.refresh_tokens TO prog_users;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.signing_keys (
    kid text PRIMARY KEY,
    algorithm text NOT NULL CHECK (algorithm IN ('EdDSA')),
    public_key text NOT NULL,
    sealed_private_key text NOT NULL,
    created_at timestamptz NOT NULL,
    retired_at timestamptz
);
COMMENT ON TABLE users.signing_keys IS 'global: keys that sign access tokens; the private halves are sealed and readable by the users domain alone';
COMMENT ON COLUMN users.signing_keys.public_key IS 'The 32 bytes of the Ed25519 key in base64url, the member x of its JWK (RFC 8037)';
COMMENT ON COLUMN users.signing_keys.retired_at IS 'Signs no more from then on; stays published while tokens that it signed live';
ALTER TABLE users.signing_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.signing_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.signing_keys TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY edge_reads ON users.signing_keys FOR SELECT TO prog_edge USING (true);
GRANT SELECT, INSERT, UPDATE ON users.signing_keys TO prog_users;
GRANT SELECT (kid, algorithm, public_key, created_at, retired_at) ON users.signing_keys TO prog_edge;
