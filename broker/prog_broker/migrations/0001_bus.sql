-- The carrier: inbox, event log, timers, retries, dead letters, leases. PostgreSQL holds the truth; a broker only delivers.
-- The schema `bus` and the table bus.schema_migrations are made by the migration runner before this file runs.

-- Roles are of the whole cluster and may exist already, made for another database.
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['users', 'tenants', 'payments', 'email', 'monitoring', 'events', 'edge', 'relay', 'scheduler'] LOOP
        BEGIN
            EXECUTE format('CREATE ROLE %I LOGIN NOINHERIT', 'prog_' || name);
        EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
        END;
    END LOOP;
    BEGIN
        CREATE ROLE prog_operator NOLOGIN NOINHERIT;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
    BEGIN
        CREATE ROLE prog_worker NOLOGIN;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
    END;
END
$$;

-- prog_operator reads across tenants; the edge takes it on for one transaction, after it has checked the caller.
GRANT prog_operator TO prog_edge;
-- prog_worker carries what all domains share: their rights on the carrier's own tables.
GRANT prog_worker TO prog_users, prog_tenants, prog_payments, prog_email, prog_monitoring, prog_events WITH INHERIT TRUE;

GRANT USAGE ON SCHEMA bus TO prog_worker, prog_edge, prog_relay, prog_scheduler, prog_operator;

CREATE FUNCTION bus.current_tenant() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('prog.tenant_id', true), '');
COMMENT ON FUNCTION bus.current_tenant() IS 'The tenant of this transaction, NULL when none is set: then no tenant-owned row is visible';

CREATE FUNCTION bus.current_user_id() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('prog.user_id', true), '');

-- The domain of the connected role: 'payments' for prog_payments.
CREATE FUNCTION bus.current_domain() RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN substr(current_user, 6);

-- ---------------------------------------------------------------------------------------------------------------------
-- Inbox: what each consumer group has handled, and the answer that it gave.
CREATE TABLE bus.inbox (
    consumer_group text NOT NULL,
    message_id uuid NOT NULL,
    tenant_id text NOT NULL,
    partition_key text NOT NULL,
    type text NOT NULL,
    subject text,
    actor text,
    correlation_id uuid NOT NULL,
    causation_id uuid,
    sent_at timestamptz NOT NULL,
    handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    handler_microseconds bigint,
    status text NOT NULL DEFAULT 'succeeded' CHECK (status IN ('succeeded', 'failed', 'pending', 'dead', 'dropped')),
    result jsonb,
    sealed_result text,
    error jsonb,
    PRIMARY KEY (consumer_group, message_id)
);
CREATE INDEX inbox_correlation ON bus.inbox (correlation_id);
CREATE INDEX inbox_message ON bus.inbox (message_id);
CREATE INDEX inbox_tenant_time ON bus.inbox (tenant_id, handled_at DESC);
CREATE INDEX inbox_subject ON bus.inbox (subject, handled_at DESC) WHERE subject IS NOT NULL;
CREATE INDEX inbox_time ON bus.inbox (handled_at DESC, message_id);

ALTER TABLE bus.inbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.inbox FORCE ROW LEVEL SECURITY;
-- A worker's batch spans tenants, so its rows are bound to its own consumer group; everybody else is bound to a tenant.
CREATE POLICY own_group ON bus.inbox TO prog_worker
    USING (consumer_group = (SELECT bus.current_domain())) WITH CHECK (consumer_group = (SELECT bus.current_domain()));
CREATE POLICY tenant_isolation ON bus.inbox FOR SELECT TO prog_edge
    USING (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON bus.inbox FOR SELECT TO prog_operator USING (true);
CREATE POLICY scheduler_reads ON bus.inbox FOR SELECT TO prog_scheduler USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.inbox TO prog_worker;
GRANT SELECT ON bus.inbox TO prog_edge, prog_operator;
GRANT SELECT (consumer_group, message_id, tenant_id, status, handled_at) ON bus.inbox TO prog_scheduler;

-- ---------------------------------------------------------------------------------------------------------------------
-- Event log: outbox, audit trail and replay source in one. The relay publishes it in the order (txid, position).
CREATE TABLE bus.event_log (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    txid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    message_id uuid NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('event', 'command')),
    topic text NOT NULL,
    source_domain text NOT NULL,
    type text NOT NULL,
    schema_version smallint NOT NULL,
    tenant_id text NOT NULL,
    partition_key text NOT NULL,
    subject text,
    actor text,
    correlation_id uuid NOT NULL,
    causation_id uuid,
    traceparent text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    data bytea NOT NULL
);
CREATE INDEX event_log_relay ON bus.event_log (txid, position);
CREATE INDEX event_log_tenant ON bus.event_log (tenant_id, position DESC);
CREATE INDEX event_log_correlation ON bus.event_log (correlation_id);
CREATE INDEX event_log_subject ON bus.event_log (subject, position DESC) WHERE subject IS NOT NULL;
COMMENT ON COLUMN bus.event_log.txid IS 'Makes the commit order readable without gaps: rows below the oldest running transaction are final';

ALTER TABLE bus.event_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.event_log FORCE ROW LEVEL SECURITY;
-- A domain appends its own messages and none in another's name; it reads none.
CREATE POLICY own_source ON bus.event_log FOR INSERT TO prog_worker
    WITH CHECK (source_domain = (SELECT bus.current_domain()));
CREATE POLICY tenant_isolation ON bus.event_log FOR SELECT TO prog_edge
    USING (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON bus.event_log FOR SELECT TO prog_operator USING (true);
CREATE POLICY relay_reads ON bus.event_log FOR SELECT TO prog_relay USING (true);
CREATE POLICY scheduler_reads ON bus.event_log FOR SELECT TO prog_scheduler USING (true);
CREATE POLICY scheduler_appends ON bus.event_log FOR INSERT TO prog_scheduler WITH CHECK (kind = 'command');
GRANT INSERT ON bus.event_log TO prog_worker;
GRANT SELECT ON bus.event_log TO prog_edge, prog_operator, prog_relay;
GRANT INSERT ON bus.event_log TO prog_scheduler;
GRANT SELECT (position, message_id, tenant_id, kind, type, topic, recorded_at) ON bus.event_log TO prog_scheduler;

-- Commands that the edge has promised (202) before a broker had them for sure. The relay publishes and deletes them.
CREATE TABLE bus.command_outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id uuid NOT NULL UNIQUE,
    tenant_id text NOT NULL,
    topic text NOT NULL,
    partition_key text NOT NULL,
    attributes text NOT NULL,
    data bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at timestamptz
);
CREATE INDEX command_outbox_pending ON bus.command_outbox (position) WHERE published_at IS NULL;
ALTER TABLE bus.command_outbox ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.command_outbox FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON bus.command_outbox TO prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY relay_all ON bus.command_outbox TO prog_relay USING (true) WITH CHECK (true);
GRANT SELECT, INSERT ON bus.command_outbox TO prog_edge;
GRANT SELECT, UPDATE, DELETE ON bus.command_outbox TO prog_relay;

CREATE TABLE bus.relay_cursors (
    lane smallint PRIMARY KEY,
    txid xid8 NOT NULL,
    position bigint NOT NULL,
    moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE bus.relay_cursors IS 'global: how far the relay has published; holds no tenant''s data';
INSERT INTO bus.relay_cursors (lane, txid, position) VALUES (0, '0', 0);
ALTER TABLE bus.relay_cursors ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.relay_cursors FORCE ROW LEVEL SECURITY;
CREATE POLICY relay_all ON bus.relay_cursors TO prog_relay USING (true) WITH CHECK (true);
CREATE POLICY others_read ON bus.relay_cursors FOR SELECT TO prog_edge, prog_operator, prog_scheduler USING (true);
GRANT SELECT, UPDATE ON bus.relay_cursors TO prog_relay;
GRANT SELECT ON bus.relay_cursors TO prog_edge, prog_operator, prog_scheduler;

-- Which message types each consumer group handles; workers write it at start. Tells when a story has come to rest.
CREATE TABLE bus.subscriptions (
    consumer_group text NOT NULL,
    type text NOT NULL,
    PRIMARY KEY (consumer_group, type)
);
COMMENT ON TABLE bus.subscriptions IS 'global: who handles which type; holds no tenant''s data';
ALTER TABLE bus.subscriptions ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.subscriptions FORCE ROW LEVEL SECURITY;
CREATE POLICY own_group ON bus.subscriptions TO prog_worker
    USING (consumer_group = (SELECT bus.current_domain())) WITH CHECK (consumer_group = (SELECT bus.current_domain()));
CREATE POLICY others_read ON bus.subscriptions FOR SELECT TO prog_edge, prog_operator, prog_scheduler USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.subscriptions TO prog_worker;
GRANT SELECT ON bus.subscriptions TO prog_edge, prog_operator, prog_scheduler;

-- ---------------------------------------------------------------------------------------------------------------------
-- Retries: a failing message and those of its key that wait behind it, in order. Times are the database's clock.
CREATE TABLE bus.retries (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer_group text NOT NULL,
    message_id uuid NOT NULL,
    tenant_id text NOT NULL,
    topic text NOT NULL,
    partition smallint NOT NULL,
    partition_key text NOT NULL,
    attempts int NOT NULL DEFAULT 0,
    state text NOT NULL CHECK (state IN ('retry', 'waiting', 'dead')),
    due_at timestamptz NOT NULL,
    attributes text NOT NULL,
    data bytea NOT NULL,
    error jsonb,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    UNIQUE (consumer_group, message_id)
);
COMMENT ON COLUMN bus.retries.state IS 'retry: runs again at due_at; dead: needs a decision; waiting: behind one of these with the same key';
CREATE INDEX retries_due ON bus.retries (consumer_group, topic, partition, due_at) WHERE state = 'retry';
CREATE INDEX retries_key ON bus.retries (consumer_group, topic, partition_key, position);
ALTER TABLE bus.retries ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.retries FORCE ROW LEVEL SECURITY;
CREATE POLICY own_group ON bus.retries TO prog_worker
    USING (consumer_group = (SELECT bus.current_domain())) WITH CHECK (consumer_group = (SELECT bus.current_domain()));
CREATE POLICY operator_reads ON bus.retries FOR SELECT TO prog_operator USING (true);
CREATE POLICY tenant_isolation ON bus.retries FOR SELECT TO prog_edge USING (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY scheduler_reads ON bus.retries FOR SELECT TO prog_scheduler USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.retries TO prog_worker;
GRANT SELECT ON bus.retries TO prog_operator, prog_edge;
GRANT SELECT (consumer_group, message_id, tenant_id, state) ON bus.retries TO prog_scheduler;

-- Dead letters: every message that was given up, with the reason, also such as could not be decoded at all.
CREATE TABLE bus.dead_letters (
    id uuid PRIMARY KEY,
    consumer_group text NOT NULL,
    tenant_id text NOT NULL,
    message_id uuid,
    type text,
    topic text NOT NULL,
    partition smallint NOT NULL,
    partition_key text,
    correlation_id uuid,
    attempts int NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    fingerprint text NOT NULL,
    traceback text,
    attributes bytea NOT NULL,
    data bytea NOT NULL,
    history jsonb NOT NULL DEFAULT '[]',
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'redriven', 'dropped')),
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    decided_at timestamptz,
    decided_by text
);
COMMENT ON COLUMN bus.dead_letters.fingerprint IS 'Groups letters by cause: consumer group, type, code and where it was raised';
CREATE INDEX dead_letters_open ON bus.dead_letters (consumer_group, recorded_at DESC) WHERE state = 'open';
CREATE INDEX dead_letters_correlation ON bus.dead_letters (correlation_id);
ALTER TABLE bus.dead_letters ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.dead_letters FORCE ROW LEVEL SECURITY;
CREATE POLICY own_group ON bus.dead_letters TO prog_worker
    USING (consumer_group = (SELECT bus.current_domain())) WITH CHECK (consumer_group = (SELECT bus.current_domain()));
CREATE POLICY tenant_isolation ON bus.dead_letters FOR SELECT TO prog_edge USING (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON bus.dead_letters FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON bus.dead_letters TO prog_worker;
GRANT SELECT ON bus.dead_letters TO prog_operator, prog_edge;

-- ---------------------------------------------------------------------------------------------------------------------
-- Leases: who owns a shard (one partition for one group). The token fences an owner that was paused.
CREATE TABLE bus.shard_leases (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition smallint NOT NULL,
    owner text NOT NULL,
    token bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (consumer_group, topic, partition)
);
COMMENT ON TABLE bus.shard_leases IS 'global: ownership of shards; holds no tenant''s data';
ALTER TABLE bus.shard_leases ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.shard_leases FORCE ROW LEVEL SECURITY;
CREATE POLICY own_group ON bus.shard_leases TO prog_worker
    USING (consumer_group = (SELECT bus.current_domain())) WITH CHECK (consumer_group = (SELECT bus.current_domain()));
CREATE POLICY operator_reads ON bus.shard_leases FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.shard_leases TO prog_worker;
GRANT SELECT ON bus.shard_leases TO prog_operator;

CREATE TABLE bus.members (
    consumer_group text NOT NULL,
    member text NOT NULL,
    seen_until timestamptz NOT NULL,
    PRIMARY KEY (consumer_group, member)
);
COMMENT ON TABLE bus.members IS 'global: live worker processes of a group; holds no tenant''s data';
ALTER TABLE bus.members ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.members FORCE ROW LEVEL SECURITY;
CREATE POLICY own_group ON bus.members TO prog_worker
    USING (consumer_group = (SELECT bus.current_domain())) WITH CHECK (consumer_group = (SELECT bus.current_domain()));
CREATE POLICY operator_reads ON bus.members FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.members TO prog_worker;
GRANT SELECT ON bus.members TO prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
-- Clocks and timers. A tenant without a row lives on the wall clock.
CREATE TABLE bus.tenant_clocks (
    tenant_id text PRIMARY KEY,
    stands_at timestamptz NOT NULL,
    advancing_to timestamptz,
    operation_id uuid,
    operation_attributes text,
    fired_timers int NOT NULL DEFAULT 0,
    advance_started_at timestamptz
);
COMMENT ON TABLE bus.tenant_clocks IS 'Test clocks: time of such a tenant moves only when told';
ALTER TABLE bus.tenant_clocks ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.tenant_clocks FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON bus.tenant_clocks TO prog_tenants, prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
-- A batch spans tenants and needs each one's present instant before it sets the first tenant.
CREATE POLICY worker_reads ON bus.tenant_clocks FOR SELECT TO prog_worker USING (true);
CREATE POLICY scheduler_all ON bus.tenant_clocks TO prog_scheduler USING (true) WITH CHECK (true);
CREATE POLICY operator_reads ON bus.tenant_clocks FOR SELECT TO prog_operator USING (true);
GRANT SELECT ON bus.tenant_clocks TO prog_worker, prog_edge, prog_operator;
GRANT INSERT, UPDATE ON bus.tenant_clocks TO prog_tenants;
GRANT SELECT, UPDATE ON bus.tenant_clocks TO prog_scheduler;

CREATE TABLE bus.timers (
    tenant_id text NOT NULL,
    domain text NOT NULL,
    name text NOT NULL,
    due_at timestamptz NOT NULL,
    topic text NOT NULL,
    message_id uuid NOT NULL,
    attributes text NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (tenant_id, domain, name)
);
COMMENT ON TABLE bus.timers IS 'Commands that are published when the tenant''s clock reaches due_at; firing moves them into the event log';
CREATE INDEX timers_due ON bus.timers (due_at);
CREATE INDEX timers_tenant_due ON bus.timers (tenant_id, due_at);
ALTER TABLE bus.timers ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.timers FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON bus.timers TO prog_worker
    USING (tenant_id = (SELECT bus.current_tenant()) AND domain = (SELECT bus.current_domain()))
    WITH CHECK (tenant_id = (SELECT bus.current_tenant()) AND domain = (SELECT bus.current_domain()));
CREATE POLICY tenant_reads ON bus.timers FOR SELECT TO prog_edge USING (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY operator_reads ON bus.timers FOR SELECT TO prog_operator USING (true);
CREATE POLICY scheduler_all ON bus.timers TO prog_scheduler USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.timers TO prog_worker;
GRANT SELECT, DELETE ON bus.timers TO prog_scheduler;
GRANT UPDATE (due_at) ON bus.timers TO prog_scheduler;
GRANT SELECT ON bus.timers TO prog_edge, prog_operator;

-- ---------------------------------------------------------------------------------------------------------------------
-- Idempotency keys of the HTTP API, kept for 24 hours.
CREATE TABLE bus.idempotency_keys (
    tenant_id text NOT NULL,
    actor text NOT NULL,
    route text NOT NULL,
    key text NOT NULL,
    body_digest text NOT NULL,
    message_id uuid NOT NULL,
    status smallint,
    answer text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, actor, route, key)
);
CREATE INDEX idempotency_keys_age ON bus.idempotency_keys (recorded_at);
ALTER TABLE bus.idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON bus.idempotency_keys TO prog_edge
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
CREATE POLICY scheduler_purges ON bus.idempotency_keys TO prog_scheduler USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE ON bus.idempotency_keys TO prog_edge;
GRANT SELECT, DELETE ON bus.idempotency_keys TO prog_scheduler;
