-- concurrently: indexes for the lists of what is not paid.
CREATE INDEX CONCURRENTLY IF NOT EXISTS invoices_unpaid ON payments.invoices (issued_at DESC, id DESC) WHERE status <> 'paid';
CREATE INDEX CONCURRENTLY IF NOT EXISTS payments_unsettled ON payments.payments (started_at DESC, id DESC) WHERE status <> 'succeeded';
