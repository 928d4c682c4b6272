-- The index from objects to messages goes with the log, whose months the scheduler detaches: by the machine's time, which ids
-- begin with, for a tenant's clock may stand in the past.
GRANT USAGE ON SCHEMA events TO prog_scheduler;
GRANT SELECT (message_id, occurred_at), DELETE ON events.subjects TO prog_scheduler;
CREATE POLICY scheduler_purges ON events.subjects TO prog_scheduler
    USING (occurred_at < statement_timestamp() - interval '62 days'
           AND coalesce(uuid_extract_timestamp(message_id), occurred_at) < statement_timestamp() - interval '62 days')
    WITH CHECK (false);
