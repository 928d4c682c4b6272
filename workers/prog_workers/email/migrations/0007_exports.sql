-- What of this domain goes into a tenant's export (tenants/0011).
GRANT USAGE ON SCHEMA email TO prog_exporter;
SELECT bus.let_tenants_export('email.brandings');
SELECT bus.let_tenants_export('email.customers');
SELECT bus.let_tenants_export('email.leads');
SELECT bus.let_tenants_export('email.mail_events', '{recorded_at}');
SELECT bus.let_tenants_export('email.mails', '{data,sealed_data,message_id,recorded_at,provider_id}');
SELECT bus.let_tenants_export('email.suppressions');
