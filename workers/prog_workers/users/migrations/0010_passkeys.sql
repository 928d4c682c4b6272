-- Passkeys (WebAuthn): public keys of people's devices, which sign in by themselves or stand for the second factor.
ALTER TABLE users.sessions DROP CONSTRAINT sessions_method_check, DROP CONSTRAINT sessions_second_factor_check;
ALTER TABLE users.sessions
    ADD CONSTRAINT sessions_method_check CHECK (method IN ('password', 'magic_link', 'social', 'sign_on', 'passkey')),
    ADD CONSTRAINT sessions_second_factor_check CHECK (second_factor IN ('totp', 'recovery_code', 'passkey'));

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.passkeys (
    passkey_id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    credential_id bytea NOT NULL UNIQUE CHECK (octet_length(credential_id) BETWEEN 16 AND 1023),
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL CHECK (sign_count >= 0),
    name text NOT NULL,
    aaguid uuid NOT NULL,
    backup_eligible boolean NOT NULL,
    backed_up boolean NOT NULL CHECK (backup_eligible OR NOT backed_up),
    transports text[] NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz
);
COMMENT ON TABLE users.passkeys IS 'global: belongs to a person; a credential is of one account alone';
COMMENT ON COLUMN users.passkeys.public_key IS 'COSE_Key (RFC 9053), as its authenticator told it';
COMMENT ON COLUMN users.passkeys.sign_count IS
    'What the authenticator had counted at its latest use: it only grows, except in those that never count';
COMMENT ON COLUMN users.passkeys.backup_eligible IS 'Flag BE: whether it may leave its device. It never changes';
COMMENT ON COLUMN users.passkeys.backed_up IS 'Flag BS at the latest use: whether it is kept elsewhere, too';
CREATE INDEX passkeys_user ON users.passkeys (user_id, created_at);
ALTER TABLE users.passkeys ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.passkeys FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.passkeys TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.passkeys FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
CREATE POLICY operator_reads ON users.passkeys FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.passkeys TO prog_users;
GRANT SELECT (passkey_id, user_id, credential_id, name, transports, backup_eligible, backed_up, created_at, last_used_at)
    ON users.passkeys TO prog_edge;
GRANT SELECT (passkey_id, user_id, name, backed_up, created_at, last_used_at) ON users.passkeys TO prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.answered_challenges (
    digest text PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE users.answered_challenges IS 'global: belongs to nobody; SHA-256 of challenges that were answered, until they expire';
CREATE INDEX answered_challenges_expiry ON users.answered_challenges (expires_at);
ALTER TABLE users.answered_challenges ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.answered_challenges FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.answered_challenges TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON users.answered_challenges TO prog_users;
