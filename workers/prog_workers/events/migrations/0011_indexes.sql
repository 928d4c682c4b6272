-- concurrently: what somebody did in a tenant, who acts there in somebody's name, and what a tenant's own source has published.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_entries_tenant_actor ON events.audit_entries (tenant_id, actor, position DESC) WHERE actor IS NOT NULL;
-- In the order of bytes, in which they are stepped through.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_entries_in_a_name ON events.audit_entries (tenant_id, actor COLLATE "C")
    WHERE actor_kind IN ('api_key', 'client', 'impersonator');
CREATE INDEX CONCURRENTLY IF NOT EXISTS event_log_source ON bus.event_log (tenant_id, source, position DESC) WHERE source IS NOT NULL;
