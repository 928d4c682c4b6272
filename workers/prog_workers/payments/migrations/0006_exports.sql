-- What of this domain goes into a tenant's export (tenants/0011). What a gateway charges a card by does not.
GRANT USAGE ON SCHEMA payments TO prog_exporter;
SELECT bus.let_tenants_export('payments.customers', '{gateway_reference}');
SELECT bus.let_tenants_export('payments.dunning_policies');
SELECT bus.let_tenants_export('payments.invoice_counters');
SELECT bus.let_tenants_export('payments.invoice_lines');
SELECT bus.let_tenants_export('payments.invoices');
SELECT bus.let_tenants_export('payments.ledger_accounts');
SELECT bus.let_tenants_export('payments.ledger_entries');
SELECT bus.let_tenants_export('payments.ledger_transactions');
SELECT bus.let_tenants_export('payments.payment_methods', '{gateway_reference}');
SELECT bus.let_tenants_export('payments.payments', '{gateway_reference,idempotency_key,message_id,recorded_at}');
SELECT bus.let_tenants_export('payments.prices');
SELECT bus.let_tenants_export('payments.products');
SELECT bus.let_tenants_export('payments.subscriptions');
