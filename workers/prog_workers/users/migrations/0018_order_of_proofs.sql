-- Events of two tenants have no order: of two that tell of one domain, whichever has proven it later has it.
ALTER TABLE users.sign_on_domains ADD COLUMN proof bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN users.sign_on_domains.proof IS 'The number of the proof (tenants.proven_domains); 0 where it was told before there were numbers';
