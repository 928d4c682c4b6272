-- What the scheduler may clear away. The policies, not the jobs, say how old a row must be.
CREATE POLICY scheduler_purges ON bus.inbox FOR DELETE TO prog_scheduler
    USING (handled_at < clock_timestamp() - interval '30 days' AND status <> 'pending');
GRANT DELETE ON bus.inbox TO prog_scheduler;

DROP POLICY scheduler_purges ON bus.idempotency_keys;
CREATE POLICY scheduler_purges ON bus.idempotency_keys TO prog_scheduler
    USING (recorded_at < clock_timestamp() - interval '24 hours') WITH CHECK (false);

CREATE POLICY scheduler_purges ON bus.command_outbox TO prog_scheduler
    USING (published_at < clock_timestamp() - interval '7 days') WITH CHECK (false);
GRANT SELECT (position, published_at), DELETE ON bus.command_outbox TO prog_scheduler;
