-- concurrently: indexes for a tenant's rows, for people who are forgotten, and for mails that did not arrive.
CREATE INDEX CONCURRENTLY IF NOT EXISTS mails_key ON email.mails (tenant_id, mail_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS mails_unsent ON email.mails (queued_at DESC, mail_id DESC) WHERE status <> 'sent';
CREATE INDEX CONCURRENTLY IF NOT EXISTS mails_inviter ON email.mails (asked_by) WHERE template = 'invitation';
CREATE INDEX CONCURRENTLY IF NOT EXISTS mail_events_tenant ON email.mail_events (tenant_id, position);
CREATE INDEX CONCURRENTLY IF NOT EXISTS customers_tenant ON email.customers (tenant_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS customers_address ON email.customers (address);
CREATE INDEX CONCURRENTLY IF NOT EXISTS leads_by_address ON email.leads (address);
CREATE INDEX CONCURRENTLY IF NOT EXISTS suppressions_address ON email.suppressions (address);
CREATE INDEX CONCURRENTLY IF NOT EXISTS leads_all ON email.leads (captured_at DESC, lead_id DESC);
