-- Second factors: authenticator apps (TOTP), recovery codes, and sign-ins that wait for one.
ALTER TABLE users.sessions ADD COLUMN second_factor text CHECK (second_factor IN ('totp', 'recovery_code'));
COMMENT ON COLUMN users.sessions.second_factor IS 'What was proven beyond the method, if anything';

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.totp_factors (
    user_id text PRIMARY KEY REFERENCES users.users ON DELETE CASCADE,
    sealed_secret text NOT NULL,
    last_step bigint NOT NULL,
    enrolled_at timestamptz NOT NULL
);
COMMENT ON TABLE users.totp_factors IS 'global: belongs to a person; the secret is sealed and readable by the users domain alone';
COMMENT ON COLUMN users.totp_factors.last_step IS
    'Newest time step (RFC 6238) whose code was accepted: only a later one is, so that no code works twice';
ALTER TABLE users.totp_factors ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.totp_factors FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.totp_factors TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_row ON users.totp_factors FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
CREATE POLICY operator_reads ON users.totp_factors FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.totp_factors TO prog_users;
GRANT SELECT (user_id, enrolled_at) ON users.totp_factors TO prog_edge, prog_operator;

CREATE TABLE users.totp_enrolments (
    user_id text PRIMARY KEY REFERENCES users.users ON DELETE CASCADE,
    session_id text NOT NULL REFERENCES users.sessions ON DELETE CASCADE,
    sealed_secret text NOT NULL,
    expires_at timestamptz NOT NULL
);
COMMENT ON TABLE users.totp_enrolments IS 'global: belongs to a person; an authenticator that no code has confirmed yet';
CREATE INDEX totp_enrolments_expiry ON users.totp_enrolments (expires_at);
CREATE INDEX totp_enrolments_session ON users.totp_enrolments (session_id);
ALTER TABLE users.totp_enrolments ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.totp_enrolments FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.totp_enrolments TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.totp_enrolments TO prog_users;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.recovery_codes (
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    hash text NOT NULL,
    salt text NOT NULL,
    made_at timestamptz NOT NULL,
    spent_at timestamptz,
    PRIMARY KEY (user_id, hash)
);
COMMENT ON TABLE users.recovery_codes IS 'global: belongs to a person; readable by the users domain alone';
COMMENT ON COLUMN users.recovery_codes.hash IS 'argon2id, hex; the codes of one set share a random salt, so that one hash finds a code';
ALTER TABLE users.recovery_codes ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.recovery_codes FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.recovery_codes TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.recovery_codes FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.recovery_codes TO prog_users;
GRANT SELECT (user_id, made_at, spent_at) ON users.recovery_codes TO prog_edge;

-- ---------------------------------------------------------------------------------------------------------------------
CREATE TABLE users.pending_sign_ins (
    digest text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    method text NOT NULL CHECK (method IN ('password', 'magic_link')),
    wrong_codes int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    spent_at timestamptz
);
COMMENT ON TABLE users.pending_sign_ins IS 'global: belongs to a person; keyed digests of tokens that wait for the second factor';
CREATE INDEX pending_sign_ins_user ON users.pending_sign_ins (user_id);
CREATE INDEX pending_sign_ins_expiry ON users.pending_sign_ins (expires_at);
ALTER TABLE users.pending_sign_ins ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.pending_sign_ins FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.pending_sign_ins TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.pending_sign_ins TO prog_users;
