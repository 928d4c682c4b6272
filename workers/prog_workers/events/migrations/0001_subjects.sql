-- The index from objects to the messages that speak of them, and indexes for reading the carrier's tables.
CREATE SCHEMA events;
GRANT USAGE ON SCHEMA events TO prog_events, prog_edge, prog_operator;

CREATE TABLE events.subjects (
    object_id text NOT NULL,
    message_id uuid NOT NULL,
    tenant_id text NOT NULL,
    correlation_id uuid NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (object_id, message_id)
);
COMMENT ON TABLE events.subjects IS 'Which messages name an object in their subject or body; message ids are UUIDv7, so the key reads newest first';
CREATE INDEX subjects_age ON events.subjects USING brin (occurred_at);

ALTER TABLE events.subjects ENABLE ROW LEVEL SECURITY;
ALTER TABLE events.subjects FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON events.subjects
    USING (tenant_id = (SELECT bus.current_tenant())) WITH CHECK (tenant_id = (SELECT bus.current_tenant()));
-- A batch of the log spans tenants; the indexer appends for all of them and can read none back.
CREATE POLICY indexer_appends ON events.subjects FOR INSERT TO prog_events WITH CHECK (true);
CREATE POLICY operator_reads ON events.subjects FOR SELECT TO prog_operator USING (true);
GRANT INSERT ON events.subjects TO prog_events;
GRANT SELECT ON events.subjects TO prog_edge, prog_operator;

-- Lists of the log by type, newest first.
CREATE INDEX event_log_type ON bus.event_log (type, position DESC);
-- Commands alone, newest first: a group handles its own domain's commands and other domains' events. The reports of the
-- consumers themselves, one a second and process, would bury everything else.
CREATE INDEX inbox_commands ON bus.inbox (handled_at DESC, message_id DESC)
    WHERE split_part(type, '.', 2) = consumer_group AND consumer_group <> 'monitoring';
-- Those among all messages that ended otherwise than well, which are few.
CREATE INDEX inbox_unsettled ON bus.inbox (handled_at DESC, message_id DESC) WHERE status <> 'succeeded';
