-- What of this domain goes into a tenant's export (tenants/0011): the audit trail, with what its hashes are made of.
GRANT USAGE ON SCHEMA events TO prog_exporter;
SELECT bus.let_tenants_export('events.audit_entries');
SELECT bus.let_tenants_export('events.audit_heads');
SELECT bus.let_tenants_export('events.audit_checkpoints');
SELECT bus.let_tenants_export('events.audit_origins', '{person,salt}');
