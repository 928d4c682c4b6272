-- Clients are told when a session ends in which somebody has signed in to them (OpenID Connect Back-Channel Logout 1.0).
ALTER TABLE users.oauth_clients ADD COLUMN backchannel_logout_uri text;

CREATE TABLE users.oauth_sign_ins (
    client_id text NOT NULL REFERENCES users.oauth_clients ON DELETE CASCADE,
    sid text NOT NULL,
    session_id text NOT NULL REFERENCES users.sessions ON DELETE CASCADE,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    client_tenant text NOT NULL,
    signed_in_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, sid)
);
COMMENT ON TABLE users.oauth_sign_ins IS 'global: belongs to a person; to which clients they have signed in within a session that goes on';
COMMENT ON COLUMN users.oauth_sign_ins.sid IS 'The session as the client knows it, from its ID token';
COMMENT ON COLUMN users.oauth_sign_ins.session_id IS
    'The session with which it ends: another one than sid when the person has signed in anew meanwhile';
CREATE INDEX oauth_sign_ins_session ON users.oauth_sign_ins (session_id);
CREATE INDEX oauth_sign_ins_user ON users.oauth_sign_ins (user_id);
ALTER TABLE users.oauth_sign_ins ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.oauth_sign_ins FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.oauth_sign_ins TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.oauth_sign_ins TO prog_users;

CREATE TABLE users.logout_notices (
    notice_id text PRIMARY KEY DEFAULT gen_random_uuid()::text,
    client_id text NOT NULL REFERENCES users.oauth_clients ON DELETE CASCADE,
    client_tenant text NOT NULL,
    user_id text NOT NULL,
    sid text NOT NULL,
    correlation_id uuid NOT NULL,
    causation_id uuid NOT NULL,
    noted_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts int NOT NULL DEFAULT 0
);
COMMENT ON TABLE users.logout_notices IS
    'global: belongs to a person, whose id stays until the client has heard or a day is over; what is still to be told to clients';
COMMENT ON COLUMN users.logout_notices.notice_id IS 'The jti of its token, the same in every attempt, so that a client knows a second one';
CREATE INDEX logout_notices_due ON users.logout_notices (due_at);
CREATE INDEX logout_notices_client ON users.logout_notices (client_id);
ALTER TABLE users.logout_notices ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.logout_notices FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.logout_notices TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.logout_notices TO prog_users;
