-- Mails on their way, who may not be written to, leads, and the local catch-all mailbox of development.
CREATE SCHEMA email;
GRANT USAGE ON SCHEMA email TO prog_email, prog_edge, prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
-- One row a mail. The body is not stored: it is rendered at delivery from data and sealed_data.
CREATE TABLE email.mails (
    mail_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    template text NOT NULL,
    recipient text NOT NULL,
    recipient_name text,
    subject_line text NOT NULL,
    data jsonb NOT NULL,
    sealed_data jsonb NOT NULL,
    status text NOT NULL CHECK (status IN ('queued', 'sending', 'sent', 'failed', 'held', 'suppressed')),
    attempt int NOT NULL DEFAULT 0,
    provider text,
    provider_id text,
    reason text,
    message_id uuid NOT NULL,
    correlation_id uuid NOT NULL,
    queued_at timestamptz NOT NULL,
    settled_at timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON COLUMN email.mails.sealed_data IS 'Sealed secrets such as link tokens; emptied once the mail needs no further try';
COMMENT ON COLUMN email.mails.status IS 'sending: handed to the provider, outcome not recorded; held: outcome unknown, an operator decides';
COMMENT ON COLUMN email.mails.attempt IS 'Number of the latest try; a slower earlier one is fenced by it';
COMMENT ON COLUMN email.mails.message_id IS 'The message that asked for the mail; its place in the causal story';
CREATE INDEX mails_tenant ON email.mails (tenant_id, queued_at DESC, mail_id);
CREATE INDEX mails_correlation ON email.mails (correlation_id);

CREATE TABLE email.mail_events (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    mail_id text NOT NULL REFERENCES email.mails,
    tenant_id text NOT NULL,
    status text NOT NULL,
    attempt int NOT NULL,
    detail text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE email.mail_events IS 'The timeline of a mail: every status that it had';
CREATE INDEX mail_events_mail ON email.mail_events (mail_id, position);

CREATE TABLE email.suppressions (
    tenant_id text NOT NULL,
    address text NOT NULL,
    reason text NOT NULL CHECK (reason IN ('bounced', 'complained', 'manual')),
    suppressed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, address)
);
COMMENT ON TABLE email.suppressions IS 'Addresses, in lower case, that a tenant does not write to';

CREATE TABLE email.customers (
    customer_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    name text NOT NULL,
    address text NOT NULL
);
COMMENT ON TABLE email.customers IS 'Who gets the billing mails of a customer, as the payments domain told it';

CREATE TABLE email.leads (
    lead_id text PRIMARY KEY,
    tenant_id text NOT NULL,
    address text NOT NULL,
    name text,
    message text,
    source text NOT NULL,
    captured_at timestamptz NOT NULL
);
CREATE INDEX leads_time ON email.leads (tenant_id, captured_at DESC, lead_id);
CREATE INDEX leads_address ON email.leads (tenant_id, address, captured_at DESC);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['mails', 'mail_events', 'suppressions', 'customers', 'leads'] LOOP
        EXECUTE format('ALTER TABLE email.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format(
            'CREATE POLICY tenant_isolation ON email.%I USING (tenant_id = (SELECT bus.current_tenant()))
             WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON email.%I FOR SELECT TO prog_operator USING (true)', name);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE ON email.mails TO prog_email;
GRANT SELECT, INSERT ON email.mail_events TO prog_email;
GRANT SELECT, INSERT, UPDATE, DELETE ON email.suppressions TO prog_email;
GRANT SELECT, INSERT, UPDATE ON email.customers TO prog_email;
GRANT SELECT, INSERT ON email.leads TO prog_email;

GRANT SELECT (mail_id, tenant_id, template, recipient, recipient_name, subject_line, status, attempt, provider,
              provider_id, reason, message_id, correlation_id, queued_at, settled_at, recorded_at)
    ON email.mails TO prog_edge, prog_operator;
GRANT SELECT ON email.mail_events, email.suppressions, email.leads TO prog_edge, prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
-- The local catch-all mailbox. Every mail that its SMTP server answers with 250 is a row here; two equal ones are two rows.
CREATE TABLE email.mailbox (
    letter_id text PRIMARY KEY,
    message_id text,
    sender text NOT NULL,
    recipients text[] NOT NULL,
    subject_line text NOT NULL,
    text_body text,
    html_body text,
    raw bytea NOT NULL,
    received_at timestamptz NOT NULL
);
COMMENT ON TABLE email.mailbox IS 'global: catch-all of a development machine, never filled in production';
COMMENT ON COLUMN email.mailbox.recipients IS 'Envelope recipients in lower case';
CREATE INDEX mailbox_message ON email.mailbox (message_id);
CREATE INDEX mailbox_time ON email.mailbox (received_at DESC, letter_id DESC);
CREATE INDEX mailbox_recipients ON email.mailbox USING gin (recipients);

-- When a sender has asked whether a mail arrived and was told no, the tries up to that one may not arrive any more.
CREATE TABLE email.mailbox_fences (
    message_id text PRIMARY KEY,
    attempt int NOT NULL
);
COMMENT ON TABLE email.mailbox_fences IS 'global: tries that the development mailbox has declared lost';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['mailbox', 'mailbox_fences'] LOOP
        EXECUTE format('ALTER TABLE email.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY mailbox_keeps ON email.%I TO prog_email USING (true) WITH CHECK (true)', name);
    END LOOP;
END
$$;
CREATE POLICY developer_reads ON email.mailbox FOR SELECT TO prog_edge, prog_operator USING (true);
GRANT SELECT, INSERT ON email.mailbox TO prog_email;
GRANT SELECT, INSERT, UPDATE ON email.mailbox_fences TO prog_email;
GRANT SELECT ON email.mailbox TO prog_edge, prog_operator;
