-- What consumers did in windows of ten seconds, and what waits for them. All of it is about the platform as a whole: the
-- edge reads it as prog_operator alone.
CREATE SCHEMA monitoring;
GRANT USAGE ON SCHEMA monitoring TO prog_monitoring, prog_operator;

CREATE TABLE monitoring.windows (
    scope text NOT NULL CHECK (scope IN ('event', 'group', 'handler')),
    window_start timestamptz NOT NULL,
    consumer_group text NOT NULL,
    type text NOT NULL,
    messages bigint NOT NULL,
    succeeded bigint NOT NULL,
    refused bigint NOT NULL,
    retried bigint NOT NULL,
    dead bigint NOT NULL,
    duplicate bigint NOT NULL,
    handler_sum bigint NOT NULL,
    handler_max bigint NOT NULL,
    handler_histogram bytea NOT NULL,
    latency_sum bigint NOT NULL,
    latency_max bigint NOT NULL,
    latency_histogram bytea NOT NULL,
    reported_at timestamptz,
    PRIMARY KEY (scope, window_start, consumer_group, type)
) WITH (fillfactor = 50);
COMMENT ON TABLE monitoring.windows IS 'global: figures of the platform''s consumers over all tenants; holds no tenant''s data';
COMMENT ON COLUMN monitoring.windows.scope IS 'event: one event type (no group); handler: one group and type; group: one group, without monitoring''s own telemetry';
COMMENT ON COLUMN monitoring.windows.handler_sum IS 'Microseconds, as all sums, maxima and histograms here; a maximum of -1: nothing measured';
COMMENT ON COLUMN monitoring.windows.handler_histogram IS 'prog_kernels.histograms.encode';
COMMENT ON COLUMN monitoring.windows.latency_sum IS 'From the sending of a message to the end of its handling; for an event, to its arrival here';
COMMENT ON COLUMN monitoring.windows.reported_at IS 'When MetricsUpdated told of this window; groups alone';
-- Windows of groups that are still to be reported: a handful.
CREATE INDEX windows_unreported ON monitoring.windows (window_start) WHERE scope = 'group' AND reported_at IS NULL;

ALTER TABLE monitoring.windows ENABLE ROW LEVEL SECURITY;
ALTER TABLE monitoring.windows FORCE ROW LEVEL SECURITY;
CREATE POLICY own_domain ON monitoring.windows TO prog_monitoring USING (true) WITH CHECK (true);
CREATE POLICY operator_reads ON monitoring.windows FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON monitoring.windows TO prog_monitoring;
GRANT SELECT ON monitoring.windows TO prog_operator;

-- The last sample of each shard: one partition of a topic for one consumer group.
CREATE TABLE monitoring.lag_samples (
    topic text NOT NULL,
    consumer_group text NOT NULL,
    partition smallint NOT NULL,
    lag bigint NOT NULL,
    pending bigint NOT NULL,
    oldest_at timestamptz,
    sampled_at timestamptz NOT NULL,
    PRIMARY KEY (topic, consumer_group, partition)
) WITH (fillfactor = 50);
COMMENT ON TABLE monitoring.lag_samples IS 'global: how far each consumer group is behind; holds no tenant''s data';
COMMENT ON COLUMN monitoring.lag_samples.lag IS 'Messages not yet handled: those that were not delivered and those that wait for their acknowledgement (pending)';
COMMENT ON COLUMN monitoring.lag_samples.oldest_at IS 'When the oldest of them was published, by the broker''s clock';
ALTER TABLE monitoring.lag_samples ENABLE ROW LEVEL SECURITY;
ALTER TABLE monitoring.lag_samples FORCE ROW LEVEL SECURITY;
CREATE POLICY own_domain ON monitoring.lag_samples TO prog_monitoring USING (true) WITH CHECK (true);
CREATE POLICY operator_reads ON monitoring.lag_samples FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON monitoring.lag_samples TO prog_monitoring;
GRANT SELECT ON monitoring.lag_samples TO prog_operator;

CREATE TABLE monitoring.outbox_samples (
    outbox text PRIMARY KEY CHECK (outbox IN ('event_log', 'command_outbox')),
    pending bigint NOT NULL,
    oldest_at timestamptz,
    sampled_at timestamptz NOT NULL
);
COMMENT ON TABLE monitoring.outbox_samples IS 'global: what the relay has yet to publish; holds no tenant''s data';
ALTER TABLE monitoring.outbox_samples ENABLE ROW LEVEL SECURITY;
ALTER TABLE monitoring.outbox_samples FORCE ROW LEVEL SECURITY;
CREATE POLICY own_domain ON monitoring.outbox_samples TO prog_monitoring USING (true) WITH CHECK (true);
CREATE POLICY operator_reads ON monitoring.outbox_samples FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON monitoring.outbox_samples TO prog_monitoring;
GRANT SELECT ON monitoring.outbox_samples TO prog_operator;

-- prog_meter counts rows of the carrier's tables and reads none of their contents. The sampler takes it on for one
-- transaction, as the edge does with prog_operator.
DO $$
BEGIN
    CREATE ROLE prog_meter NOLOGIN NOINHERIT;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;
GRANT prog_meter TO prog_monitoring WITH INHERIT FALSE;
GRANT USAGE ON SCHEMA bus TO prog_meter;
GRANT SELECT (position, txid, recorded_at) ON bus.event_log TO prog_meter;
GRANT SELECT (position, recorded_at, published_at) ON bus.command_outbox TO prog_meter;
GRANT SELECT (consumer_group, topic, state) ON bus.dead_letters TO prog_meter;
GRANT SELECT ON bus.relay_cursors TO prog_meter;
GRANT SELECT ON bus.subscriptions TO prog_meter;
CREATE POLICY meter_counts ON bus.event_log FOR SELECT TO prog_meter USING (true);
CREATE POLICY meter_counts ON bus.command_outbox FOR SELECT TO prog_meter USING (true);
CREATE POLICY meter_counts ON bus.dead_letters FOR SELECT TO prog_meter USING (true);
CREATE POLICY meter_counts ON bus.relay_cursors FOR SELECT TO prog_meter USING (true);
CREATE POLICY meter_counts ON bus.subscriptions FOR SELECT TO prog_meter USING (true);
