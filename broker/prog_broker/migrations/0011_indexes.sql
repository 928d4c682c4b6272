-- concurrently: what waits by message and by time, stored commands by age, and a tenant's events of one type.
CREATE INDEX CONCURRENTLY IF NOT EXISTS retries_message ON bus.retries (message_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS command_outbox_age ON bus.command_outbox USING brin (published_at)
    WITH (pages_per_range = 16, autosummarize = on);
CREATE INDEX CONCURRENTLY IF NOT EXISTS retries_next ON bus.retries (due_at, position) WHERE state <> 'dead';
-- Without it a rare type is looked for among all of a tenant's events, or among everybody's of that type.
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_log_tenant_type ON bus.event_log (tenant_id, type, position DESC);
-- In the order of time, so that a batch of the oldest is one range.
CREATE INDEX CONCURRENTLY IF NOT EXISTS published_events_recorded ON bus.published_events (recorded_at);
DROP INDEX CONCURRENTLY IF EXISTS bus.published_events_age;
