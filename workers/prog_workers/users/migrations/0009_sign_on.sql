-- Sign-on with a tenant's own provider: what the tenants domain has told of it, and the identities that it vouches for.
ALTER TABLE users.sessions
    DROP CONSTRAINT sessions_method_check,
    ADD CONSTRAINT sessions_method_check CHECK (method IN ('password', 'magic_link', 'social', 'sign_on'));
ALTER TABLE users.pending_sign_ins
    DROP CONSTRAINT pending_sign_ins_method_check,
    ADD CONSTRAINT pending_sign_ins_method_check CHECK (method IN ('password', 'magic_link', 'social', 'sign_on'));

ALTER TABLE users.identities
    ADD COLUMN sign_on_tenant_id text,
    DROP CONSTRAINT identities_issuer_subject_key,
    ADD CONSTRAINT identities_one_account UNIQUE NULLS NOT DISTINCT (issuer, subject, sign_on_tenant_id);
COMMENT ON COLUMN users.identities.sign_on_tenant_id IS
    'The tenant whose provider vouches for it, and alone can open the account with it; NULL for providers of the settings';
CREATE INDEX identities_sign_on ON users.identities (sign_on_tenant_id) WHERE sign_on_tenant_id IS NOT NULL;

CREATE TABLE users.sign_on_domains (
    domain text PRIMARY KEY,
    sign_on_tenant_id text NOT NULL,
    enforced boolean NOT NULL,
    owners text[] NOT NULL
);
COMMENT ON TABLE users.sign_on_domains IS 'global: domains of addresses whose people sign on, looked up by address before anybody''s tenant is known; holds no tenant''s data';
COMMENT ON COLUMN users.sign_on_domains.owners IS 'Persons who get in by other ways too, though it is enforced';
CREATE INDEX sign_on_domains_tenant ON users.sign_on_domains (sign_on_tenant_id);
ALTER TABLE users.sign_on_domains ENABLE ROW LEVEL SECURITY;
ALTER TABLE users.sign_on_domains FORCE ROW LEVEL SECURITY;
CREATE POLICY domain_owns ON users.sign_on_domains TO prog_users USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON users.sign_on_domains TO prog_users;
