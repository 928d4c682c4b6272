-- For how long API keys of those who have to sign on go on without their makers doing so (infra/adr/0018).
ALTER TABLE tenants.sign_on ADD COLUMN api_key_days integer CHECK (api_key_days BETWEEN 1 AND 365);
COMMENT ON COLUMN tenants.sign_on.api_key_days IS
    'Where sign-on is enforced: days since its maker signed on in which a key gets in; NULL is without limit';
GRANT SELECT (api_key_days) ON tenants.sign_on TO prog_operator, prog_exporter;
