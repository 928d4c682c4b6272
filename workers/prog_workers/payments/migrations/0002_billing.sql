-- Customers, cards, subscriptions, invoices and payments. Every row is the tenant's that is billed.

CREATE TABLE payments.customers (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    company text NOT NULL,
    name text NOT NULL,
    email text NOT NULL,
    gateway_reference text,
    created_at timestamptz NOT NULL,
    UNIQUE (tenant_id, id)
);
COMMENT ON TABLE payments.customers IS 'Who is billed: a tenant as a customer of the platform, with its owner''s name and address';
COMMENT ON COLUMN payments.customers.gateway_reference IS 'What the gateway calls this customer, once it knows it';
CREATE UNIQUE INDEX customers_one_a_tenant ON payments.customers (tenant_id);

CREATE TABLE payments.payment_methods (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    customer_id text NOT NULL,
    gateway text NOT NULL,
    gateway_reference text NOT NULL,
    brand text NOT NULL,
    last4 text NOT NULL CHECK (last4 ~ '^[0-9]{4}$'),
    expiry_month smallint NOT NULL CHECK (expiry_month BETWEEN 1 AND 12),
    expiry_year smallint NOT NULL,
    is_default boolean NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES payments.customers (tenant_id, id)
);
COMMENT ON TABLE payments.payment_methods IS 'Cards as the gateway describes them; a card number never comes here';
CREATE UNIQUE INDEX payment_methods_one_default ON payments.payment_methods (tenant_id, customer_id) WHERE is_default;

CREATE TABLE payments.subscriptions (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    customer_id text NOT NULL,
    price_id text NOT NULL REFERENCES payments.prices (id),
    family text,
    status text NOT NULL CHECK (status IN ('incomplete', 'trialing', 'active', 'past_due', 'paused', 'canceled', 'unpaid')),
    quantity int NOT NULL CHECK (quantity > 0),
    anchor timestamptz NOT NULL,
    period_index int NOT NULL CHECK (period_index >= 0),
    current_period_start timestamptz NOT NULL,
    current_period_end timestamptz NOT NULL CHECK (current_period_end > current_period_start),
    cancel_at_period_end boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL,
    canceled_at timestamptz,
    cancel_reason text,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES payments.customers (tenant_id, id)
);
COMMENT ON COLUMN payments.subscriptions.anchor IS 'All period ends are computed from it, so that the 29th to 31st survive short months';
COMMENT ON COLUMN payments.subscriptions.period_index IS 'Which period after the anchor is current, from 0';
CREATE UNIQUE INDEX subscriptions_one_a_family ON payments.subscriptions (tenant_id, customer_id, family) WHERE status <> 'canceled';
CREATE INDEX subscriptions_tenant ON payments.subscriptions (tenant_id, created_at DESC, id DESC);
CREATE INDEX subscriptions_time ON payments.subscriptions (created_at DESC, id DESC);

-- Invoice numbers without gaps: the row is locked from the finalisation to the commit, and a rollback uses no number.
CREATE TABLE payments.invoice_counters (
    tenant_id text PRIMARY KEY,
    last_number int NOT NULL CHECK (last_number > 0)
);

CREATE TABLE payments.invoices (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    customer_id text NOT NULL,
    subscription_id text,
    kind text NOT NULL CHECK (kind IN ('subscription')),
    number text NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'open', 'paid', 'void', 'uncollectible')),
    plan text NOT NULL,
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    total_minor bigint NOT NULL CHECK (total_minor >= 0),
    amount_due_minor bigint NOT NULL CHECK (amount_due_minor BETWEEN 0 AND total_minor),
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL CHECK (period_end > period_start),
    issued_at timestamptz NOT NULL,
    paid_at timestamptz,
    customer_company text NOT NULL,
    customer_name text NOT NULL,
    customer_email text NOT NULL,
    dunning_slot int NOT NULL DEFAULT 0,
    first_failed_at timestamptz,
    next_attempt_at timestamptz,
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, number),
    FOREIGN KEY (tenant_id, customer_id) REFERENCES payments.customers (tenant_id, id),
    FOREIGN KEY (tenant_id, subscription_id) REFERENCES payments.subscriptions (tenant_id, id)
);
COMMENT ON TABLE payments.invoices IS 'An invoice is final when it is written: the grants let only its state change, never what it says';
COMMENT ON COLUMN payments.invoices.dunning_slot IS 'The last automatic attempt: 0 is the first charge, 1 the first retry';
-- The guard against billing a period twice, whatever starts the bill run.
CREATE UNIQUE INDEX invoices_one_a_period ON payments.invoices (tenant_id, subscription_id, kind, period_start);
CREATE INDEX invoices_tenant ON payments.invoices (tenant_id, issued_at DESC, id DESC);
CREATE INDEX invoices_time ON payments.invoices (issued_at DESC, id DESC);

CREATE TABLE payments.invoice_lines (
    tenant_id text NOT NULL,
    invoice_id text NOT NULL,
    position int NOT NULL,
    description text NOT NULL,
    quantity int NOT NULL,
    unit_amount_minor bigint NOT NULL,
    amount_minor bigint NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, invoice_id, position),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES payments.invoices (tenant_id, id)
);

-- One row an attempt. It is committed before the gateway is called, so that a crash leaves a question and never a guess.
CREATE TABLE payments.payments (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    customer_id text NOT NULL,
    invoice_id text NOT NULL,
    payment_method_id text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency text NOT NULL,
    status text NOT NULL CHECK (status IN ('calling', 'unknown', 'succeeded', 'failed')),
    trigger text NOT NULL CHECK (trigger IN ('initial', 'dunning', 'new_card', 'manual')),
    attempt int NOT NULL CHECK (attempt >= 0),
    idempotency_key text NOT NULL UNIQUE,
    message_id uuid NOT NULL,
    gateway text NOT NULL,
    gateway_reference text,
    failure_reason text,
    hard boolean,
    started_at timestamptz NOT NULL,
    settled_at timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, message_id),
    FOREIGN KEY (tenant_id, invoice_id) REFERENCES payments.invoices (tenant_id, id),
    FOREIGN KEY (tenant_id, payment_method_id) REFERENCES payments.payment_methods (tenant_id, id)
);
COMMENT ON COLUMN payments.payments.status IS 'calling: the gateway was or is being asked; unknown: it did not answer, and is asked what it did';
COMMENT ON COLUMN payments.payments.message_id IS 'The command that asked for the attempt; when it is delivered again it finds its attempt by this';
CREATE UNIQUE INDEX payments_one_a_slot ON payments.payments (tenant_id, invoice_id, attempt) WHERE trigger IN ('initial', 'dunning');
CREATE UNIQUE INDEX payments_one_in_flight ON payments.payments (tenant_id, invoice_id) WHERE status IN ('calling', 'unknown');
CREATE INDEX payments_invoice ON payments.payments (tenant_id, invoice_id);
CREATE INDEX payments_tenant ON payments.payments (tenant_id, started_at DESC, id DESC);
CREATE INDEX payments_time ON payments.payments (started_at DESC, id DESC);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['customers', 'payment_methods', 'subscriptions', 'invoice_counters', 'invoices', 'invoice_lines', 'payments'] LOOP
        EXECUTE format('ALTER TABLE payments.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON payments.%I TO prog_payments, prog_edge
            USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON payments.%I FOR SELECT TO prog_operator USING (true)', name);
        EXECUTE format('GRANT SELECT, INSERT ON payments.%I TO prog_payments', name);
    END LOOP;
END
$$;

GRANT UPDATE (company, name, email, gateway_reference) ON payments.customers TO prog_payments;
GRANT UPDATE (is_default) ON payments.payment_methods TO prog_payments;
GRANT UPDATE (status, period_index, current_period_start, current_period_end, cancel_at_period_end, canceled_at, cancel_reason)
    ON payments.subscriptions TO prog_payments;
GRANT UPDATE (last_number) ON payments.invoice_counters TO prog_payments;
GRANT UPDATE (status, amount_due_minor, paid_at, dunning_slot, first_failed_at, next_attempt_at) ON payments.invoices TO prog_payments;
GRANT UPDATE (status, gateway_reference, failure_reason, hard, settled_at) ON payments.payments TO prog_payments;

GRANT SELECT (id, tenant_id, company, name, email, created_at) ON payments.customers TO prog_edge, prog_operator;
GRANT SELECT (id, tenant_id, customer_id, gateway, brand, last4, expiry_month, expiry_year, is_default, created_at)
    ON payments.payment_methods TO prog_edge, prog_operator;
GRANT SELECT ON payments.subscriptions, payments.invoices, payments.invoice_lines TO prog_edge, prog_operator;
GRANT SELECT (id, tenant_id, customer_id, invoice_id, payment_method_id, amount_minor, currency, status, trigger, attempt,
              gateway, gateway_reference, failure_reason, hard, started_at, settled_at)
    ON payments.payments TO prog_edge, prog_operator;
