-- concurrently: which sessions have run out is looked for every few minutes, among those that go on.
CREATE INDEX CONCURRENTLY IF NOT EXISTS sessions_running ON users.sessions (least(idle_until, expires_at)) WHERE ended_at IS NULL;
