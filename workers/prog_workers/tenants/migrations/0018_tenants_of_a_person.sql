-- concurrently: how many tenants somebody has is counted before they make another.
CREATE INDEX CONCURRENTLY IF NOT EXISTS tenants_owner ON tenants.tenants (owner_user_id) WHERE owner_user_id IS NOT NULL;
