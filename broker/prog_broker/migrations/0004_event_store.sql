-- The event store: a slim inbox, an event log in monthly partitions, streams with versions, and tenants' own schemas.

-- ---------------------------------------------------------------------------------------------------------------------
-- Inbox. An event's row says that a group handled it; what it was about is in the event log, found by message_id. A
-- command's row keeps its envelope too, because one that came through the edge is recorded nowhere else, and so does the
-- row of any message that failed. The indexes below the primary key are partial, so that an event's row is in none.
ALTER TABLE bus.inbox
    ALTER COLUMN partition_key DROP NOT NULL,
    ALTER COLUMN type DROP NOT NULL,
    ALTER COLUMN correlation_id DROP NOT NULL,
    ALTER COLUMN sent_at DROP NOT NULL,
    DROP CONSTRAINT inbox_pkey,
    -- Ids first: UUIDv7 grow with time, so inserts stay at one end of the index, and they compare faster than names.
    ADD PRIMARY KEY (message_id, consumer_group);
COMMENT ON COLUMN bus.inbox.type IS 'NULL where the event log tells: type, subject, actor, correlation, causation and time of an event';
DROP INDEX bus.inbox_correlation, bus.inbox_message, bus.inbox_tenant_time, bus.inbox_time;
CREATE INDEX inbox_correlation ON bus.inbox (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX inbox_tenant_time ON bus.inbox (tenant_id, handled_at DESC, message_id DESC) WHERE type IS NOT NULL;
CREATE INDEX inbox_monitoring ON bus.inbox (handled_at DESC, message_id DESC)
    WHERE consumer_group = 'monitoring' AND type IS NOT NULL;
-- For clearing away by age; next to nothing to maintain.
CREATE INDEX inbox_age ON bus.inbox USING brin (handled_at) WITH (autosummarize = on);

-- ---------------------------------------------------------------------------------------------------------------------
-- Event log: new columns, then the same table as the first partition of one that is cut by month of recording.
ALTER TABLE bus.event_log
    ADD COLUMN stream text,
    ADD COLUMN stream_version bigint,
    ADD COLUMN source text,
    ADD COLUMN source_id text,
    ADD COLUMN extensions jsonb;

CREATE TABLE bus.event_partitions (
    name text PRIMARY KEY,
    from_at timestamptz NOT NULL,
    until_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'attached' CHECK (state IN ('attached', 'detached', 'archived')),
    detached_at timestamptz,
    archived_at timestamptz,
    file text,
    row_count bigint,
    sha256 text
);
COMMENT ON TABLE bus.event_partitions IS 'global: the months of the event log, and the files that old ones went to; holds no tenant''s data';
ALTER TABLE bus.event_partitions ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.event_partitions FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone_reads ON bus.event_partitions FOR SELECT
    TO prog_worker, prog_edge, prog_relay, prog_scheduler, prog_operator USING (true);
GRANT SELECT ON bus.event_partitions TO prog_worker, prog_edge, prog_relay, prog_scheduler, prog_operator;
-- The partitions are made by functions of the tables' owner, who is bound by row-level security as everybody is.
CREATE POLICY owner_keeps ON bus.event_partitions TO CURRENT_USER USING (true) WITH CHECK (true);

ALTER TABLE bus.event_log RENAME TO event_log_first;
DO $$
DECLARE
    first_position bigint := nextval(pg_get_serial_sequence('bus.event_log_first', 'position'));
    next_month timestamptz := date_trunc('month', clock_timestamp(), 'UTC') + interval '1 month';
    each record;
BEGIN
    FOR each IN SELECT c.relname AS name FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
                WHERE i.indrelid = 'bus.event_log_first'::regclass LOOP
        EXECUTE format('ALTER INDEX bus.%I RENAME TO %I', each.name, replace(each.name, 'event_log', 'event_log_first'));
    END LOOP;
    ALTER TABLE bus.event_log_first ALTER COLUMN position DROP IDENTITY;
    CREATE TABLE bus.event_log (
        LIKE bus.event_log_first INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMMENTS
    ) PARTITION BY RANGE (recorded_at);
    EXECUTE format('ALTER TABLE bus.event_log ALTER COLUMN position ADD GENERATED ALWAYS AS IDENTITY (START %s)', first_position);
    EXECUTE format('ALTER TABLE bus.event_log ATTACH PARTITION bus.event_log_first FOR VALUES FROM (MINVALUE) TO (%L)', next_month);
    INSERT INTO bus.event_partitions (name, from_at, until_at) VALUES ('event_log_first', '-infinity', next_month);
    FOR each IN SELECT pg_get_indexdef(indexrelid) AS definition FROM pg_index
                WHERE indrelid = 'bus.event_log_first'::regclass AND NOT indisunique LOOP
        EXECUTE replace(each.definition, 'event_log_first', 'event_log');
    END LOOP;
    -- Rights and policies move to the whole; nobody reads or writes a partition by itself.
    ALTER TABLE bus.event_log ENABLE ROW LEVEL SECURITY;
    ALTER TABLE bus.event_log FORCE ROW LEVEL SECURITY;
    FOR each IN SELECT * FROM pg_policies WHERE schemaname = 'bus' AND tablename = 'event_log_first' LOOP
        EXECUTE format('CREATE POLICY %I ON bus.event_log FOR %s TO %s %s %s', each.policyname, each.cmd,
                       (SELECT string_agg(quote_ident(role), ', ') FROM unnest(each.roles) AS role),
                       'USING (' || each.qual || ')', 'WITH CHECK (' || each.with_check || ')');
    END LOOP;
    FOR each IN
        SELECT a.grantee::regrole AS grantee, a.privilege_type AS privilege, '' AS columns
        FROM pg_class AS c, aclexplode(c.relacl) AS a
        WHERE c.oid = 'bus.event_log_first'::regclass AND a.grantee <> c.relowner
        UNION ALL
        SELECT a.grantee::regrole, a.privilege_type, format('(%I)', t.attname)
        FROM pg_attribute AS t, aclexplode(t.attacl) AS a
        WHERE t.attrelid = 'bus.event_log_first'::regclass
    LOOP
        EXECUTE format('GRANT %s %s ON bus.event_log TO %s', each.privilege, each.columns, each.grantee);
        EXECUTE format('REVOKE ALL ON bus.event_log_first FROM %s', each.grantee);
    END LOOP;
END
$$;
CREATE INDEX event_log_stream ON bus.event_log (tenant_id, stream, stream_version) WHERE stream IS NOT NULL;
COMMENT ON COLUMN bus.event_log.stream_version IS '1, 2, 3 … within tenant and stream, in the order of position';
COMMENT ON COLUMN bus.event_log.source IS 'Of an event that a tenant published: its own CloudEvents source; NULL for the platform''s';

-- A partition for what no other one covers, so that nothing is ever refused. It is empty unless nobody makes partitions.
CREATE TABLE bus.event_log_default PARTITION OF bus.event_log DEFAULT;
ALTER TABLE bus.event_log_default ADD PRIMARY KEY (position), ADD UNIQUE (message_id);
ALTER TABLE bus.event_log_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.event_log_default FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON bus.event_log_default FOR SELECT TO prog_edge
    USING (tenant_id = (SELECT bus.current_tenant()));

CREATE FUNCTION bus.prepare_event_partitions(months_ahead int) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    made text[] := '{}';
    month_start timestamptz := date_trunc('month', clock_timestamp(), 'UTC');
    month_end timestamptz;
    part text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('bus.event_partitions'));
    FOR step IN 0..least(months_ahead, 24) LOOP
        month_end := date_trunc('month', month_start + interval '45 days', 'UTC');
        part := 'event_log_' || to_char(month_start AT TIME ZONE 'UTC', 'YYYY_MM');
        IF NOT EXISTS (SELECT FROM bus.event_partitions AS p WHERE p.from_at < month_end AND p.until_at > month_start) THEN
            -- Made apart and attached, which locks the log less than PARTITION OF does. The owner is bound by row-level
            -- security where it is forced, so it is forced when the late rows have moved.
            EXECUTE format('CREATE TABLE bus.%I (LIKE bus.event_log INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
                           'INCLUDING STORAGE)', part);
            EXECUTE format('ALTER TABLE bus.%I ADD PRIMARY KEY (position), ADD UNIQUE (message_id)', part);
            ALTER TABLE bus.event_log_default NO FORCE ROW LEVEL SECURITY;
            EXECUTE format('WITH late AS (DELETE FROM bus.event_log_default WHERE recorded_at >= %L AND recorded_at < %L '
                           'RETURNING *) INSERT INTO bus.%I SELECT * FROM late', month_start, month_end, part);
            ALTER TABLE bus.event_log_default FORCE ROW LEVEL SECURITY;
            EXECUTE format('ALTER TABLE bus.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', part);
            EXECUTE format('CREATE POLICY tenant_isolation ON bus.%I FOR SELECT TO prog_edge '
                           'USING (tenant_id = (SELECT bus.current_tenant()))', part);
            EXECUTE format('ALTER TABLE bus.event_log ATTACH PARTITION bus.%I FOR VALUES FROM (%L) TO (%L)',
                           part, month_start, month_end);
            INSERT INTO bus.event_partitions (name, from_at, until_at) VALUES (part, month_start, month_end);
            made := made || part;
        END IF;
        month_start := month_end;
    END LOOP;
    RETURN made;
END
$$;
COMMENT ON FUNCTION bus.prepare_event_partitions IS 'Makes what is missing of this month''s partition and the next ones; returns their names';

CREATE FUNCTION bus.retire_event_partitions(keep_days int) RETURNS text[]
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '3s'
AS $$
DECLARE
    retired text[] := '{}';
    each record;
    waiting boolean;
BEGIN
    IF keep_days < 31 THEN
        RAISE EXCEPTION 'the event log is kept for 31 days at least, not %', keep_days;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('bus.event_partitions'));
    FOR each IN SELECT * FROM bus.event_partitions AS p
                WHERE p.state = 'attached' AND p.until_at < clock_timestamp() - make_interval(days => keep_days)
                ORDER BY p.until_at LOOP
        -- What the relay has not published stays, however old it is. The owner, too, sees rows only where it may.
        ALTER TABLE bus.relay_cursors NO FORCE ROW LEVEL SECURITY;
        EXECUTE format('ALTER TABLE bus.%I NO FORCE ROW LEVEL SECURITY', each.name);
        EXECUTE format('SELECT EXISTS (SELECT FROM bus.%I AS e WHERE (e.txid, e.position) > '
                       '(SELECT c.txid, c.position FROM bus.relay_cursors AS c ORDER BY c.txid, c.position LIMIT 1))',
                       each.name) INTO waiting;
        EXECUTE format('ALTER TABLE bus.%I FORCE ROW LEVEL SECURITY', each.name);
        ALTER TABLE bus.relay_cursors FORCE ROW LEVEL SECURITY;
        CONTINUE WHEN waiting;
        EXECUTE format('ALTER TABLE bus.event_log DETACH PARTITION bus.%I', each.name);
        UPDATE bus.event_partitions AS p SET state = 'detached', detached_at = clock_timestamp() WHERE p.name = each.name;
        retired := retired || each.name::text;
    END LOOP;
    RETURN retired;
END
$$;
COMMENT ON FUNCTION bus.retire_event_partitions IS 'Detaches the months that ended more than so many days ago; they stay as tables until they are archived';
REVOKE ALL ON FUNCTION bus.prepare_event_partitions, bus.retire_event_partitions FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bus.prepare_event_partitions, bus.retire_event_partitions TO prog_scheduler;

-- ---------------------------------------------------------------------------------------------------------------------
-- Tenants' own events.
CREATE TABLE bus.streams (
    tenant_id text NOT NULL,
    stream text NOT NULL,
    version bigint NOT NULL,
    appended_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, stream)
);
COMMENT ON TABLE bus.streams IS 'The version of each stream''s last event; the row''s lock lets one writer append at a time';

CREATE TABLE bus.published_events (
    tenant_id text NOT NULL,
    source text NOT NULL,
    source_id text NOT NULL,
    message_id uuid NOT NULL,
    position bigint NOT NULL,
    stream text,
    stream_version bigint,
    digest bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, source, source_id)
);
COMMENT ON TABLE bus.published_events IS 'What was stored for each CloudEvents source and id: the same one sent again is stored once';
CREATE INDEX published_events_id ON bus.published_events (tenant_id, source_id);
CREATE INDEX published_events_age ON bus.published_events USING brin (recorded_at);

CREATE TABLE bus.event_types (
    tenant_id text NOT NULL,
    type text NOT NULL,
    first_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (tenant_id, type)
);
COMMENT ON TABLE bus.event_types IS 'Types of the events that a tenant has published; there is a limit to them';

CREATE TABLE bus.event_schemas (
    tenant_id text NOT NULL,
    type text NOT NULL,
    version smallint NOT NULL,
    schema text NOT NULL,
    compatibility text NOT NULL CHECK (compatibility IN (
        'BACKWARD', 'BACKWARD_TRANSITIVE', 'FORWARD', 'FORWARD_TRANSITIVE', 'FULL', 'FULL_TRANSITIVE', 'NONE')),
    registered_at timestamptz NOT NULL,
    registered_by text,
    PRIMARY KEY (tenant_id, type, version)
);
COMMENT ON TABLE bus.event_schemas IS 'JSON Schemas of a tenant''s own event types; the newest version''s compatibility rules what may follow';

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['streams', 'published_events', 'event_types', 'event_schemas'] LOOP
        EXECUTE format('ALTER TABLE bus.%I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE bus.%I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY tenant_isolation ON bus.%I TO prog_events, prog_edge '
                       'USING (tenant_id = (SELECT bus.current_tenant())) '
                       'WITH CHECK (tenant_id = (SELECT bus.current_tenant()))', name);
        EXECUTE format('CREATE POLICY operator_reads ON bus.%I FOR SELECT TO prog_operator USING (true)', name);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE ON bus.%I TO prog_events', name);
        EXECUTE format('GRANT SELECT ON bus.%I TO prog_edge, prog_operator', name);
    END LOOP;
END
$$;
CREATE POLICY scheduler_purges ON bus.published_events TO prog_scheduler
    USING (recorded_at < clock_timestamp() - interval '30 days') WITH CHECK (false);
GRANT SELECT (tenant_id, source, source_id, recorded_at), DELETE ON bus.published_events TO prog_scheduler;
-- The events domain draws positions itself, to answer with them.
GRANT USAGE ON SEQUENCE bus.event_log_position_seq TO prog_events;

SELECT bus.prepare_event_partitions(3);
