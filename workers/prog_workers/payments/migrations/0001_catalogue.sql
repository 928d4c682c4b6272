-- What can be bought, and how failed charges are retried. The rows belong to the seller; the platform is the first one.
CREATE SCHEMA payments;
GRANT USAGE ON SCHEMA payments TO prog_payments, prog_edge, prog_operator;

-- The platform's own tenant (prog_contracts.ids.PLATFORM_TENANT_ID).
CREATE FUNCTION payments.platform_tenant() RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 'tenant_00000000000000000000000001';

CREATE TABLE payments.products (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    features text[] NOT NULL DEFAULT '{}',
    family text,
    highlighted boolean NOT NULL DEFAULT false,
    active boolean NOT NULL DEFAULT true,
    UNIQUE (tenant_id, id)
);
COMMENT ON COLUMN payments.products.family IS 'Of one family, such as the plans, a customer has at most one living subscription';

CREATE TABLE payments.prices (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    product_id text NOT NULL,
    model text NOT NULL CHECK (model IN ('flat', 'per_unit')),
    unit_amount_minor bigint NOT NULL CHECK (unit_amount_minor >= 0),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    interval text NOT NULL CHECK (interval IN ('day', 'week', 'month', 'year')),
    interval_count int NOT NULL CHECK (interval_count BETWEEN 1 AND 366),
    active boolean NOT NULL DEFAULT true,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, product_id) REFERENCES payments.products (tenant_id, id)
);
COMMENT ON TABLE payments.prices IS 'A price never changes; another amount is another price, so that old invoices stay explained';
CREATE INDEX prices_product ON payments.prices (tenant_id, product_id);

CREATE TABLE payments.dunning_policies (
    id text PRIMARY KEY,
    tenant_id text NOT NULL,
    name text NOT NULL,
    retry_after_days int[] NOT NULL CHECK (array_position(retry_after_days, NULL) IS NULL AND 0 < ALL (retry_after_days)),
    is_default boolean NOT NULL,
    UNIQUE (tenant_id, id)
);
COMMENT ON COLUMN payments.dunning_policies.retry_after_days IS 'Days from each failed attempt to the next; after the last one the subscription is canceled';
CREATE UNIQUE INDEX dunning_policies_one_default ON payments.dunning_policies (tenant_id) WHERE is_default;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['products', 'prices', 'dunning_policies'] LOOP
        EXECUTE format('ALTER TABLE payments.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON payments.%I TO prog_payments, prog_edge
            USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON payments.%I FOR SELECT TO prog_operator USING (true)', name);
    END LOOP;
END
$$;

-- The platform's catalogue is public: every tenant buys from it, and the site shows it to visitors of no tenant.
CREATE POLICY platform_catalogue ON payments.products FOR SELECT TO prog_payments, prog_edge
    USING (tenant_id = payments.platform_tenant());
CREATE POLICY platform_catalogue ON payments.prices FOR SELECT TO prog_payments, prog_edge
    USING (tenant_id = payments.platform_tenant());
-- The tenants are the platform's customers, so its dunning policy is theirs to know.
CREATE POLICY platform_policies ON payments.dunning_policies FOR SELECT TO prog_payments, prog_edge
    USING (tenant_id = payments.platform_tenant());

GRANT SELECT ON payments.products, payments.prices, payments.dunning_policies TO prog_payments, prog_edge, prog_operator;

INSERT INTO payments.products (id, tenant_id, name, description, features, family, highlighted) VALUES
    ('product_01m836mz1cee6vnez476xj0c7g', payments.platform_tenant(), 'Starter', 'For a first product and its first customers',
     ARRAY['10 team members', '100,000 events a month', '5,000 mails a month'], 'plan', false),
    ('product_01m836mz1cee6vnez47874n2rr', payments.platform_tenant(), 'Growth', 'For a team whose product is taking off',
     ARRAY['50 team members', '5 million events a month', '100,000 mails a month'], 'plan', true),
    ('product_01m836mz1cee6vnez47cywr6sy', payments.platform_tenant(), 'Scale', 'For a business that runs on it',
     ARRAY['Team members without limit', 'Events without limit', 'Mails without limit'], 'plan', false);

INSERT INTO payments.prices (id, tenant_id, product_id, model, unit_amount_minor, currency, interval, interval_count) VALUES
    ('price_01m836mz1cee6vnez47h8wazmj', payments.platform_tenant(), 'product_01m836mz1cee6vnez476xj0c7g', 'flat', 2900, 'USD', 'month', 1),
    ('price_01m836mz1cee6vnez47p41kqnx', payments.platform_tenant(), 'product_01m836mz1cee6vnez47874n2rr', 'flat', 9900, 'USD', 'month', 1),
    ('price_01m836mz1cee6vnez47s99cg0m', payments.platform_tenant(), 'product_01m836mz1cee6vnez47cywr6sy', 'flat', 29900, 'USD', 'month', 1),
    ('price_01m836mz1cee6vnez47zmnryc6', payments.platform_tenant(), 'product_01m836mz1cee6vnez47874n2rr', 'flat', 99000, 'USD', 'year', 1);

INSERT INTO payments.dunning_policies (id, tenant_id, name, retry_after_days, is_default) VALUES
    ('dunning_01m836mz1cee6vnez4811bwrkf', payments.platform_tenant(), 'Four retries in 22 days', '{3,5,7,7}', true);
