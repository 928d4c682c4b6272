-- The sandbox gateway's own books. They stand for another company's database: the platform's rows never refer to them,
-- the adapter writes them on a connection of its own, and they are committed before it answers.

CREATE TABLE payments.sandbox_cards (
    reference text PRIMARY KEY,
    attach_key text NOT NULL UNIQUE,
    token text NOT NULL,
    customer text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE payments.sandbox_cards IS 'global: stands for a gateway''s vault, which knows no tenants';

CREATE TABLE payments.sandbox_charges (
    reference text PRIMARY KEY,
    idempotency_key text NOT NULL UNIQUE,
    card text NOT NULL,
    amount_minor bigint NOT NULL,
    currency text NOT NULL,
    failure_reason text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE payments.sandbox_charges IS 'global: stands for a gateway''s charges, which know no tenants; failure_reason NULL is a success';
CREATE INDEX sandbox_charges_card ON payments.sandbox_charges (card);

ALTER TABLE payments.sandbox_cards ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE payments.sandbox_charges ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY gateway_only ON payments.sandbox_cards TO prog_payments USING (true) WITH CHECK (true);
CREATE POLICY gateway_only ON payments.sandbox_charges TO prog_payments USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON payments.sandbox_cards, payments.sandbox_charges TO prog_payments;
