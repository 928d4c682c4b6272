-- concurrently: what clients did not hear of, for the console's overview.
CREATE INDEX CONCURRENTLY IF NOT EXISTS logout_notices_failed ON users.logout_notices (failed_at) WHERE failed_at IS NOT NULL;
