-- What of this domain goes into a tenant's export (tenants/0011).
SELECT bus.let_tenants_export('bus.tenant_usage');
