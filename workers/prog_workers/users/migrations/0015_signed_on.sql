-- With which tenant's provider a session has begun: where a tenant enforces sign-on, no other session reaches it. Those
-- from before this do not say it, so their people sign on once more.
ALTER TABLE users.sessions ADD COLUMN sign_on_tenant_id text;
ALTER TABLE users.pending_sign_ins ADD COLUMN sign_on_tenant_id text;
COMMENT ON COLUMN users.sessions.sign_on_tenant_id IS
    'The tenant whose provider has vouched for its person, when it began or when one that it took the place of did; NULL for none';
