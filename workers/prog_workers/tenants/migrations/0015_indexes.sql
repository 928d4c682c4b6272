-- concurrently: indexes for tenants with many members, and for people who are looked for in all tenants.
CREATE INDEX CONCURRENTLY IF NOT EXISTS members_joined ON tenants.members (tenant_id, joined_at, user_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS members_email ON tenants.members (tenant_id, email);
CREATE INDEX CONCURRENTLY IF NOT EXISTS members_owners ON tenants.members (tenant_id, joined_at, user_id) WHERE role = 'owner';
CREATE INDEX CONCURRENTLY IF NOT EXISTS invitations_email ON tenants.invitations (email);
-- In the order of bytes, so that an inviter and the keys of theirs are one range.
CREATE INDEX CONCURRENTLY IF NOT EXISTS invitations_inviter ON tenants.invitations (invited_by COLLATE "C") WHERE invited_by IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS invitations_entry ON tenants.invitations (tenant_id, directory_user_id)
    WHERE status = 'open' AND directory_user_id IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS directory_users_person ON tenants.directory_users (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS directory_users_address ON tenants.directory_users (email) WHERE email IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS directory_users_account_address ON tenants.directory_users (account_email)
    WHERE account_email IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS directory_users_external ON tenants.directory_users (tenant_id, external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS directory_groups_external ON tenants.directory_groups (tenant_id, external_id)
    WHERE external_id IS NOT NULL;
CREATE INDEX CONCURRENTLY IF NOT EXISTS invitations_end ON tenants.invitations ((CASE WHEN settled_at IS NULL THEN expires_at ELSE settled_at END));
CREATE INDEX CONCURRENTLY IF NOT EXISTS logos_age ON tenants.logos (stored_at);
