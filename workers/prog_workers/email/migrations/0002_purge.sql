-- A deleted tenant's mails go, in a transaction that purges it and in no other.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['mails', 'mail_events', 'suppressions', 'customers', 'leads'] LOOP
        IF name <> 'suppressions' THEN
            EXECUTE format('CREATE POLICY purged_alone ON email.%I AS RESTRICTIVE FOR DELETE TO prog_email
                USING (tenant_id = (SELECT bus.purged_tenant()))', name);
        END IF;
        EXECUTE format('GRANT DELETE ON email.%I TO prog_email', name);
    END LOOP;
END
$$;

CREATE TABLE email.deleted_tenants (
    tenant_id text PRIMARY KEY,
    deleted_at timestamptz NOT NULL
);
COMMENT ON TABLE email.deleted_tenants IS 'Tenants that were deleted: nothing is written for them any more, and what they had is being deleted';
ALTER TABLE email.deleted_tenants ENABLE ROW LEVEL SECURITY;
ALTER TABLE email.deleted_tenants FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON email.deleted_tenants TO prog_email
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON email.deleted_tenants FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT ON email.deleted_tenants TO prog_email;
GRANT SELECT ON email.deleted_tenants TO prog_operator;
