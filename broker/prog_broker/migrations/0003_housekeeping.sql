-- More that the scheduler may clear away: processes that are long gone, and dead letters that were decided long ago.
CREATE POLICY scheduler_purges ON bus.members TO prog_scheduler
    USING (seen_until < clock_timestamp() - interval '1 day') WITH CHECK (false);
GRANT SELECT, DELETE ON bus.members TO prog_scheduler;

CREATE POLICY scheduler_purges ON bus.dead_letters TO prog_scheduler
    USING (state <> 'open' AND decided_at < clock_timestamp() - interval '90 days') WITH CHECK (false);
CREATE INDEX dead_letters_decided ON bus.dead_letters (decided_at) WHERE state <> 'open';
GRANT SELECT (id, state, decided_at), DELETE ON bus.dead_letters TO prog_scheduler;
