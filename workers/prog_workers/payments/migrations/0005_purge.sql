-- A deleted tenant that was never billed leaves nothing. Of one that was, the books stay, and its cards are forgotten.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['customers', 'payment_methods', 'subscriptions', 'invoice_counters'] LOOP
        EXECUTE format('CREATE POLICY purged_alone ON payments.%I AS RESTRICTIVE FOR DELETE TO prog_payments
            USING (tenant_id = (SELECT bus.purged_tenant()))', name);
        EXECUTE format('GRANT DELETE ON payments.%I TO prog_payments', name);
    END LOOP;
END
$$;
GRANT UPDATE (gateway_reference) ON payments.payment_methods TO prog_payments;
