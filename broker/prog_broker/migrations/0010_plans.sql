-- What the scheduler may clear away, as before, at the time of the statement: of clock_timestamp(), which may be another one
-- for each row, no index can be asked, so that each night read the tables from end to end.
ALTER POLICY scheduler_purges ON bus.inbox
    USING (handled_at < statement_timestamp() - interval '30 days' AND status <> 'pending');
ALTER POLICY scheduler_purges ON bus.idempotency_keys
    USING (recorded_at < statement_timestamp() - interval '24 hours') WITH CHECK (false);
ALTER POLICY scheduler_purges ON bus.command_outbox
    USING (published_at < statement_timestamp() - interval '7 days') WITH CHECK (false);
ALTER POLICY scheduler_purges ON bus.members
    USING (seen_until < statement_timestamp() - interval '1 day') WITH CHECK (false);
ALTER POLICY scheduler_purges ON bus.dead_letters
    USING (state <> 'open' AND decided_at < statement_timestamp() - interval '90 days') WITH CHECK (false);
ALTER POLICY scheduler_purges ON bus.published_events
    USING (recorded_at < statement_timestamp() - interval '30 days') WITH CHECK (false);

-- Queues: rows come and go, and what is left of those that went is in the way of every reader. The default waits until a
-- fifth of the table is dead, which of a large one is a day's work in one go.
ALTER TABLE bus.command_outbox SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE bus.retries SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
ALTER TABLE bus.timers SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
ALTER TABLE bus.idempotency_keys SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
ALTER TABLE bus.inbox SET (
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02
);

-- What is let go of with time, whichever tenant's, is deleted by the domain that owns it, in a transaction that says what is
-- kept. A statement that forgets to say so deletes nothing, and none deletes what is younger than 30 days.
CREATE FUNCTION bus.kept_since() RETURNS timestamptz
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN CASE WHEN nullif(current_setting('prog.kept_since', true), '') IS NOT NULL
                THEN least(current_setting('prog.kept_since', true)::timestamptz,
                           statement_timestamp() - interval '30 days') END;
COMMENT ON FUNCTION bus.kept_since() IS 'Older rows than this may be let go of by this transaction, NULL in every other transaction';
