-- Identities that other providers vouch for: Google, GitHub, any OpenID issuer of the settings.
ALTER TABLE users.sessions
    DROP CONSTRAINT sessions_method_check,
    ADD CONSTRAINT sessions_method_check CHECK (method IN ('password', 'magic_link', 'social'));
ALTER TABLE users.pending_sign_ins
    DROP CONSTRAINT pending_sign_ins_method_check,
    ADD CONSTRAINT pending_sign_ins_method_check CHECK (method IN ('password', 'magic_link', 'social'));

CREATE TABLE users.identities (
    identity_id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    issuer text NOT NULL,
    subject text NOT NULL,
    provider text NOT NULL,
    title text NOT NULL,
    email text,
    linked_at timestamptz NOT NULL,
    last_used_at timestamptz,
    UNIQUE (issuer, subject)
);
COMMENT ON TABLE users.identities IS 'global: belongs to a person, who sees the own rows alone';
COMMENT ON COLUMN users.identities.subject IS 'Whom the issuer means; with the issuer it is the identity, and no e-mail address is';
COMMENT ON COLUMN users.identities.provider IS 'Name of the provider in PROG_IDENTITY_PROVIDERS when it was linked';
COMMENT ON COLUMN users.identities.email IS 'What the provider last told, for people to tell their identities apart; it decides nothing';
CREATE INDEX identities_user ON users.identities (user_id, linked_at);
ALTER TABLE users.identities ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.identities FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.identities TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.identities FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON users.identities TO prog_users;
GRANT SELECT ON users.identities TO prog_edge;

-- A person sees whether they have a password; who came through a provider has none at first.
CREATE POLICY own_row ON users.passwords FOR SELECT TO prog_edge USING (user_id = (SELECT bus.current_user_id()));
GRANT SELECT (user_id, changed_at) ON users.passwords TO prog_edge;
