-- Wrong codes of a person's second factor, which somebody gave who had shown the first one.
CREATE TABLE users.guesses (
    user_id text PRIMARY KEY REFERENCES users.users ON DELETE CASCADE,
    since timestamptz NOT NULL,
    wrong_codes int NOT NULL CHECK (wrong_codes > 0),
    told_at timestamptz
);
COMMENT ON TABLE users.guesses IS 'global: belongs to a person; what came within a day of the first one is counted together';
COMMENT ON COLUMN users.guesses.told_at IS 'When its person was told last that there are many';
ALTER TABLE users.guesses ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.guesses FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.guesses TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.guesses TO prog_users;
