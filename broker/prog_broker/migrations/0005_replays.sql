-- Replays: messages of the event log that run again in a consumer group, and what its handlers allow.

-- Which events each consumer group handles, and whether they may run again; workers write it at start. `*` stands for
-- every event that has no handler of its own.
CREATE TABLE bus.replay_handlers (
    consumer_group text NOT NULL,
    type text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('no', 'repeat', 'rebuild')),
    PRIMARY KEY (consumer_group, type)
);
COMMENT ON TABLE bus.replay_handlers IS 'global: what each consumer group can replay; holds no tenant''s data';
COMMENT ON COLUMN bus.replay_handlers.mode IS 'repeat: running it again changes nothing; rebuild: only after a reset; no: left out of replays';
ALTER TABLE bus.replay_handlers ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.replay_handlers FORCE ROW LEVEL SECURITY;
CREATE POLICY own_group ON bus.replay_handlers TO prog_worker
    USING (consumer_group = (SELECT bus.current_domain())) WITH CHECK (consumer_group = (SELECT bus.current_domain()));
CREATE POLICY operator_reads ON bus.replay_handlers FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON bus.replay_handlers TO prog_worker;
GRANT SELECT ON bus.replay_handlers TO prog_operator;

CREATE TABLE bus.replays (
    id uuid PRIMARY KEY,
    consumer_group text NOT NULL,
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'running', 'paused', 'done', 'failed', 'cancelled')),
    requested_by text NOT NULL,
    reason text NOT NULL,
    rebuild boolean NOT NULL,
    skip_failing boolean NOT NULL,
    types text[] NOT NULL,
    tenant_id text,
    subject text,
    stream text,
    from_position bigint,
    to_position bigint,
    from_time timestamptz,
    to_time timestamptz,
    holds_live boolean NOT NULL DEFAULT false,
    cursor_txid xid8 NOT NULL DEFAULT '0',
    cursor_position bigint NOT NULL DEFAULT 0,
    fence_txid xid8,
    total bigint,
    done bigint NOT NULL DEFAULT 0,
    failed bigint NOT NULL DEFAULT 0,
    suppressed bigint NOT NULL DEFAULT 0,
    busy_seconds double precision NOT NULL DEFAULT 0,
    failure jsonb,
    history jsonb NOT NULL DEFAULT '[]',
    owner text NOT NULL DEFAULT '',
    token bigint NOT NULL DEFAULT 0,
    expires_at timestamptz NOT NULL DEFAULT '-infinity',
    requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    ended_at timestamptz
);
COMMENT ON TABLE bus.replays IS 'global: what operators had replayed, and how far that is; of tenants it names ids alone';
COMMENT ON COLUMN bus.replays.types IS 'Empty: all that the group can replay';
COMMENT ON COLUMN bus.replays.holds_live IS 'The projection was reset and this replay fills it: live traffic leaves its messages to the replay';
COMMENT ON COLUMN bus.replays.cursor_txid IS 'With cursor_position: the last message that was run, in the order in which the relay publishes';
COMMENT ON COLUMN bus.replays.fence_txid IS 'Messages of this transaction and later ones are left to live traffic; NULL: the replay goes on to the end';
COMMENT ON COLUMN bus.replays.suppressed IS 'Messages that handlers returned or sent, and timers: none of them left the replay';
COMMENT ON COLUMN bus.replays.owner IS 'The worker that runs it until expires_at; the token fences one that was paused';
-- A group runs one replay at a time. One that has failed halfway through a rebuild still owns the projection.
CREATE UNIQUE INDEX replays_one_a_group ON bus.replays (consumer_group)
    WHERE state IN ('pending', 'running', 'paused') OR (state = 'failed' AND holds_live);
CREATE INDEX replays_newest ON bus.replays (requested_at DESC, id DESC);
ALTER TABLE bus.replays ENABLE ROW LEVEL SECURITY;
ALTER TABLE bus.replays FORCE ROW LEVEL SECURITY;
CREATE POLICY own_group ON bus.replays TO prog_worker
    USING (consumer_group = (SELECT bus.current_domain())) WITH CHECK (consumer_group = (SELECT bus.current_domain()));
CREATE POLICY operator_reads ON bus.replays FOR SELECT TO prog_operator USING (true);
GRANT SELECT, INSERT, UPDATE ON bus.replays TO prog_worker;
GRANT SELECT ON bus.replays TO prog_operator;

-- A group reads events of the log while a replay of its own is not over, and at no other time.
CREATE FUNCTION bus.is_replaying() RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN EXISTS (SELECT FROM bus.replays
                   WHERE consumer_group = bus.current_domain()
                     AND (state IN ('pending', 'running', 'paused') OR holds_live));
CREATE POLICY replay_reads ON bus.event_log FOR SELECT TO prog_worker
    USING (kind = 'event' AND (SELECT bus.is_replaying()));
GRANT SELECT ON bus.event_log TO prog_worker;

-- The replay that holds a group's live traffic stands in its leases: whoever admits a batch locks that row anyway, and
-- so learns of a replay that begins or ends at the same instant without looking anywhere else.
ALTER TABLE bus.shard_leases ADD COLUMN replay_id uuid;
COMMENT ON COLUMN bus.shard_leases.replay_id IS 'The replay to which live batches of this shard leave their messages';

CREATE FUNCTION bus.hold_new_shard() RETURNS trigger
    LANGUAGE plpgsql
AS $$
BEGIN
    -- FOR SHARE waits for a rebuild that is just beginning or ending, and has not seen this row, and reads what it wrote.
    SELECT CASE WHEN holds_live THEN id END INTO NEW.replay_id FROM bus.replays
    WHERE consumer_group = NEW.consumer_group AND rebuild AND state IN ('pending', 'running', 'paused', 'failed')
    FOR SHARE;
    RETURN NEW;
END
$$;
CREATE TRIGGER hold_new_shard BEFORE INSERT ON bus.shard_leases FOR EACH ROW EXECUTE FUNCTION bus.hold_new_shard();

-- ---------------------------------------------------------------------------------------------------------------------
-- Dead letters: one a message and group, with each attempt and each decision.
ALTER TABLE bus.retries ADD COLUMN history jsonb NOT NULL DEFAULT '[]';
COMMENT ON COLUMN bus.retries.history IS 'Attempts that failed since the message came in or was redriven; a dead letter takes them over';
ALTER TABLE bus.dead_letters ADD COLUMN failed_at timestamptz;
COMMENT ON COLUMN bus.dead_letters.failed_at IS 'When it failed last; recorded_at is the first time';
CREATE INDEX dead_letters_message ON bus.dead_letters (message_id, consumer_group);
CREATE INDEX dead_letters_cause ON bus.dead_letters (fingerprint, recorded_at) WHERE state = 'open';
