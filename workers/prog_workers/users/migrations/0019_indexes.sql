-- concurrently: indexes for what is looked for among many people and keys.
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_staff ON users.users (created_at DESC, user_id DESC) WHERE platform_role IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_unverified ON users.users (created_at DESC, user_id DESC) WHERE email_verified_at IS NULL;
-- A payment looks for those of a tenant who are not known to have paid: nobody, but for the first time.
CREATE INDEX CONCURRENTLY IF NOT EXISTS users_never_paid ON users.users (home_tenant_id) WHERE first_paid_at IS NULL AND home_tenant_id IS NOT NULL;
-- Keys that were revoked or rolled stay for good: what is counted and listed are the others.
CREATE INDEX CONCURRENTLY IF NOT EXISTS api_keys_live ON users.api_keys (tenant_id, created_at DESC, key_id DESC) WHERE revoked_at IS NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS oauth_client_tokens_tenant ON users.oauth_client_tokens (tenant_id);
