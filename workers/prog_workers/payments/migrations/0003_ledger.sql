-- The ledger: double entry, written in the transaction that issues the invoice or records the payment.
-- Amounts are signed minor units: debit above zero, credit below.

CREATE TABLE payments.ledger_accounts (
    tenant_id text NOT NULL,
    account text NOT NULL CHECK (account IN ('receivable', 'revenue', 'cash', 'bad_debt', 'customer_credit')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (tenant_id, account, currency)
);

CREATE TABLE payments.ledger_transactions (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('invoice', 'payment', 'overpayment', 'write_off', 'void')),
    reference text NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (tenant_id, id),
    UNIQUE (tenant_id, kind, reference)
);
COMMENT ON COLUMN payments.ledger_transactions.reference IS 'The invoice or payment that is posted; each at most once a kind';

CREATE TABLE payments.ledger_entries (
    tenant_id text NOT NULL,
    transaction_id text NOT NULL,
    position int NOT NULL,
    account text NOT NULL,
    currency text NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor <> 0),
    PRIMARY KEY (tenant_id, transaction_id, position),
    FOREIGN KEY (tenant_id, transaction_id) REFERENCES payments.ledger_transactions (tenant_id, id),
    FOREIGN KEY (tenant_id, account, currency) REFERENCES payments.ledger_accounts (tenant_id, account, currency)
);
CREATE INDEX ledger_entries_account ON payments.ledger_entries (tenant_id, account, currency) INCLUDE (amount_minor);

-- The entries of a transaction are inserted by one statement, and it must balance in each currency. A check at commit
-- would run under the tenant that happens to be set last, and row-level security would hide the rows from it.
CREATE FUNCTION payments.require_balance() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong record;
BEGIN
    SELECT transaction_id, currency, sum(amount_minor) AS off INTO wrong
    FROM posted GROUP BY tenant_id, transaction_id, currency HAVING sum(amount_minor) <> 0 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'ledger transaction % is off by % in %', wrong.transaction_id, wrong.off, wrong.currency
            USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entries_balance';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER ledger_entries_balance AFTER INSERT ON payments.ledger_entries
    REFERENCING NEW TABLE AS posted FOR EACH STATEMENT EXECUTE FUNCTION payments.require_balance();

-- What is posted stays posted, for the owner of the tables too; a mistake is mended by a transaction the other way.
CREATE FUNCTION payments.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only: % on % is refused', TG_OP, TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.ledger_entries
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();
CREATE TRIGGER ledger_transactions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payments.ledger_transactions
    FOR EACH STATEMENT EXECUTE FUNCTION payments.refuse_change();

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['ledger_accounts', 'ledger_transactions', 'ledger_entries'] LOOP
        EXECUTE format('ALTER TABLE payments.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON payments.%I TO prog_payments, prog_edge
            USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON payments.%I FOR SELECT TO prog_operator USING (true)', name);
        EXECUTE format('GRANT SELECT, INSERT ON payments.%I TO prog_payments', name);
        EXECUTE format('GRANT SELECT ON payments.%I TO prog_edge, prog_operator', name);
    END LOOP;
END
$$;
