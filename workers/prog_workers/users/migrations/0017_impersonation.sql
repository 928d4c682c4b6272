-- Operators of the platform act in somebody's name: with a reason, for minutes (infra/adr/0029-impersonation.md).
CREATE TABLE users.impersonations (
    impersonation_id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES users.users ON DELETE CASCADE,
    operator_id text NOT NULL,
    by_session_id text NOT NULL,
    reason text NOT NULL,
    began_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    end_reason text CHECK (end_reason IN ('by_hand', 'time_limit', 'session_ended', 'account_changed')),
    ended_by text,
    CHECK (operator_id <> user_id),
    CHECK (expires_at > began_at AND expires_at <= began_at + interval '1 hour'),
    CHECK ((ended_at IS NULL) = (end_reason IS NULL))
);
COMMENT ON TABLE users.impersonations IS 'global: belongs to a person, who sees the own rows alone, and to the platform';
COMMENT ON COLUMN users.impersonations.user_id IS 'In whose name; never one of the platform''s staff';
COMMENT ON COLUMN users.impersonations.operator_id IS 'Who acted: stays as a pseudonym when the operator''s account is deleted';
COMMENT ON COLUMN users.impersonations.by_session_id IS 'The operator''s session, with which it ends';
CREATE INDEX impersonations_user ON users.impersonations (user_id, began_at DESC);
CREATE INDEX impersonations_operator ON users.impersonations (operator_id, began_at DESC);
CREATE INDEX impersonations_order ON users.impersonations (began_at DESC, impersonation_id DESC);
CREATE INDEX impersonations_session ON users.impersonations (by_session_id) WHERE ended_at IS NULL;
ALTER TABLE users.impersonations ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.impersonations FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.impersonations TO prog_users USING (true) WITH CHECK (true);
CREATE POLICY own_rows ON users.impersonations FOR SELECT TO prog_edge
    USING (user_id = (SELECT bus.current_user_id()));
CREATE POLICY operator_reads ON users.impersonations FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.impersonations TO prog_users;
GRANT SELECT ON users.impersonations TO prog_edge, prog_operator;
