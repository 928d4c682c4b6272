-- concurrently: what was refused anywhere, a tenant's trail by action and by time, and what support did in somebody's name.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_entries_refusals ON events.audit_entries (position DESC) WHERE outcome <> 'success';
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_entries_tenant_action ON events.audit_entries (tenant_id, action, position DESC);
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_entries_tenant_time ON events.audit_entries (tenant_id, at, position);
-- In the order of bytes: a person, and who acts in that person's name, are a range of it.
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_entries_support ON events.audit_entries (actor COLLATE "C", position DESC)
    WHERE actor_kind = 'impersonator';
CREATE INDEX CONCURRENTLY IF NOT EXISTS audit_origins_age ON events.audit_origins (noted_at);
