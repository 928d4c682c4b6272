-- Sessions by their end, so that those that ended long ago are found without reading all.
CREATE INDEX sessions_end ON users.sessions (coalesce(ended_at, least(idle_until, expires_at)));
