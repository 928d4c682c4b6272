"""All SQL of the carrier's tables (schema `bus`), except what the relay and the leases keep beside their own code.

Budgets that tests hold: a batch costs one ADMIT and one commit, whatever its size. Where there is something to append
or to answer, FINISH goes with the commit.
"""

from typing import Final

ADMIT: Final = """
WITH lease AS (
    -- KEY SHARE holds off a take-over (which locks FOR UPDATE) until this transaction ends, but no renewal.
    SELECT replay_id FROM bus.shard_leases
    WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND token = $4 FOR KEY SHARE
), parked AS (
    SELECT DISTINCT partition_key FROM bus.retries
    WHERE consumer_group = $1 AND topic = $2 AND partition_key = ANY ($8::text[]) AND NOT $5
), admitted AS (
    INSERT INTO bus.inbox (consumer_group, message_id, tenant_id, partition_key, type, subject, actor, correlation_id,
                           causation_id, sent_at)
    SELECT $1, u.message_id, u.tenant_id, u.partition_key, u.type, u.subject, u.actor, u.correlation_id,
           u.causation_id, u.sent_at
    FROM unnest($6::uuid[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::uuid[], $13::uuid[],
                $14::timestamptz[])
         AS u (message_id, tenant_id, partition_key, type, subject, actor, correlation_id, causation_id, sent_at)
    WHERE EXISTS (SELECT FROM lease) AND u.partition_key NOT IN (SELECT partition_key FROM parked)
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT EXISTS (SELECT FROM lease) AS leased,
       (SELECT replay_id FROM lease) AS replay_id,
       (SELECT array_agg(message_id) FROM admitted) AS admitted,
       (SELECT array_agg(partition_key) FROM parked) AS parked,
       (SELECT jsonb_object_agg(tenant_id, stands_at)
        FROM bus.tenant_clocks WHERE tenant_id = ANY ($7::text[])) AS clocks,
       set_config('prog.tenant_id', ($7::text[])[1], true)
"""
"""Fences, skips keys that are parked (unless $5: this is the retry of a parked message), and inserts the rest into the
inbox; ids that are not among `admitted` were handled before."""

ADMIT_ONE: Final = """
WITH lease AS (
    SELECT replay_id FROM bus.shard_leases
    WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND token = $4 FOR KEY SHARE
), parked AS (
    SELECT FROM bus.retries
    WHERE consumer_group = $1 AND topic = $2 AND partition_key = $8 AND NOT $5
    LIMIT 1
), admitted AS (
    INSERT INTO bus.inbox (consumer_group, message_id, tenant_id, partition_key, type, subject, actor, correlation_id,
                           causation_id, sent_at)
    SELECT $1, $6, $7, $8, $9, $10, $11, $12, $13, $14
    WHERE EXISTS (SELECT FROM lease) AND NOT EXISTS (SELECT FROM parked)
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT EXISTS (SELECT FROM lease) AS leased,
       (SELECT replay_id FROM lease) AS replay_id,
       EXISTS (SELECT FROM admitted) AS admitted,
       EXISTS (SELECT FROM parked) AS parked,
       (SELECT stands_at FROM bus.tenant_clocks WHERE tenant_id = $7) AS stands_at,
       set_config('prog.tenant_id', $7, true)
"""
"""ADMIT for a single command, as somebody waits for it: a fifth less work for the server."""

ADMIT_EVENTS: Final = """
WITH lease AS (
    SELECT replay_id FROM bus.shard_leases
    WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND token = $4 FOR KEY SHARE
), parked AS (
    SELECT DISTINCT partition_key FROM bus.retries
    WHERE consumer_group = $1 AND topic = $2 AND partition_key = ANY ($8::text[]) AND NOT $5
), admitted AS (
    INSERT INTO bus.inbox (consumer_group, message_id, tenant_id)
    SELECT $1, u.message_id, u.tenant_id
    FROM unnest($6::uuid[], $7::text[], $8::text[]) AS u (message_id, tenant_id, partition_key)
    WHERE EXISTS (SELECT FROM lease) AND u.partition_key NOT IN (SELECT partition_key FROM parked)
    ON CONFLICT DO NOTHING
    RETURNING message_id
)
SELECT EXISTS (SELECT FROM lease) AS leased,
       (SELECT replay_id FROM lease) AS replay_id,
       (SELECT array_agg(message_id) FROM admitted) AS admitted,
       (SELECT array_agg(partition_key) FROM parked) AS parked,
       (SELECT jsonb_object_agg(tenant_id, stands_at)
        FROM bus.tenant_clocks WHERE tenant_id = ANY ($7::text[])) AS clocks,
       set_config('prog.tenant_id', ($7::text[])[1], true)
"""
"""ADMIT for events. The event log holds their envelopes, so the inbox row is slim and in the primary key alone."""

FENCE: Final = """
SELECT 1 FROM bus.shard_leases WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND token = $4 FOR KEY SHARE
"""

LOOK: Final = """
SELECT EXISTS (
           SELECT FROM bus.shard_leases
           WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND token = $4
       ) AS leased,
       EXISTS (
           SELECT FROM bus.retries WHERE consumer_group = $1 AND topic = $2 AND partition_key = $6 AND NOT $5
       ) AS parked,
       EXISTS (SELECT FROM bus.inbox WHERE consumer_group = $1 AND message_id = $7) AS handled
"""
"""What ADMIT would say about one message, without taking it: asked before an outside call."""

SET_TENANT: Final = "SELECT set_config('prog.tenant_id', $1, true)"

CLOCK: Final = "SELECT stands_at FROM bus.tenant_clocks WHERE tenant_id = $1"

FINISH: Final = "SELECT bus.finish($1)"
"""Appends what the handlers of a batch returned to the event log, and the answers to the inbox rows of its commands."""


def finish(document: bytes) -> str:
    """FINISH without a parameter. The document goes as hexadecimal digits, so that nothing in it is ever SQL."""
    return f"SELECT bus.finish(decode('{document.hex()}', 'hex'))"


ANSWERS: Final = """
SELECT message_id, status, result, sealed_result, error FROM bus.inbox
WHERE consumer_group = $1 AND message_id = ANY ($2::uuid[])
"""

PUT_OFF: Final = """
INSERT INTO bus.retries (consumer_group, message_id, tenant_id, topic, partition, partition_key, attributes, data,
                         attempts, state, due_at, error, history)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp() + make_interval(secs => $11), $12::jsonb,
        CASE WHEN $12::jsonb IS NULL THEN '[]' ELSE jsonb_build_array(
            $12::jsonb || jsonb_build_object('what', 'failed', 'attempt', $9::int, 'at', clock_timestamp())) END)
ON CONFLICT (consumer_group, message_id) DO UPDATE
SET attempts = EXCLUDED.attempts, state = EXCLUDED.state, due_at = EXCLUDED.due_at, error = EXCLUDED.error,
    history = retries.history || EXCLUDED.history
"""

WAIT_BEHIND: Final = """
INSERT INTO bus.retries (consumer_group, message_id, tenant_id, topic, partition, partition_key, attributes, data,
                         state, due_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'waiting', clock_timestamp())
ON CONFLICT (consumer_group, message_id) DO NOTHING
"""
"""A copy of a message that is itself being retried must not take its place: it would wait behind itself for ever."""

MARK_INBOX: Final = """
INSERT INTO bus.inbox (consumer_group, message_id, tenant_id, partition_key, type, subject, actor, correlation_id,
                       causation_id, sent_at, status, error)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12::jsonb)
ON CONFLICT (consumer_group, message_id) DO UPDATE SET status = EXCLUDED.status, error = EXCLUDED.error
WHERE inbox.status NOT IN ('succeeded', 'pending')
"""

BURY: Final = """
WITH told AS (
    SELECT coalesce((SELECT history FROM bus.retries WHERE consumer_group = $2 AND message_id = $4), '[]')
           || ($17::jsonb || jsonb_build_object('at', clock_timestamp())) AS history
), reopened AS (
    UPDATE bus.dead_letters
    SET state = 'open', decided_at = NULL, decided_by = NULL, failed_at = clock_timestamp(), attempts = $10, code = $11,
        reason = $12, fingerprint = $13, traceback = $14, attributes = $15, data = $16,
        history = dead_letters.history || (SELECT history FROM told)
    WHERE id = (
        SELECT id FROM bus.dead_letters WHERE consumer_group = $2 AND message_id = $4 AND state = 'redriven'
        ORDER BY recorded_at DESC LIMIT 1
    )
    RETURNING id
)
INSERT INTO bus.dead_letters (id, consumer_group, tenant_id, message_id, type, topic, partition, partition_key,
                              correlation_id, attempts, code, reason, fingerprint, traceback, attributes, data, history,
                              failed_at)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, history, clock_timestamp() FROM told
WHERE NOT EXISTS (SELECT FROM reopened)
ON CONFLICT (id) DO NOTHING
"""
"""One letter a message: one that was redriven and has failed again is open again, with all that was before."""

DUE_RETRIES: Final = """
SELECT r.message_id, r.topic, r.partition, r.partition_key, r.attempts, r.attributes, r.data
FROM unnest($2::text[], $3::smallint[]) AS owned (topic, partition)
JOIN bus.retries AS r ON r.topic = owned.topic AND r.partition = owned.partition
WHERE r.consumer_group = $1 AND r.state = 'retry' AND r.due_at <= statement_timestamp()
  AND NOT EXISTS (
      SELECT FROM bus.retries AS earlier
      WHERE earlier.consumer_group = $1 AND earlier.topic = r.topic AND earlier.partition_key = r.partition_key
        AND earlier.position < r.position
  )
ORDER BY r.position
LIMIT $4
"""
"""What is due and first in the line of its key. Letters that are dead cost nothing here, however many there are."""

ORPHANED: Final = """
WITH RECURSIVE keys AS (
    (SELECT topic, partition_key, position FROM bus.retries
     WHERE consumer_group = $1 AND state = 'waiting' ORDER BY topic, partition_key, position LIMIT 1)
    UNION ALL
    SELECT next.topic, next.partition_key, next.position
    FROM keys CROSS JOIN LATERAL (
        SELECT r.topic, r.partition_key, r.position FROM bus.retries AS r
        WHERE r.consumer_group = $1 AND r.state = 'waiting'
          AND (r.topic, r.partition_key) > (keys.topic, keys.partition_key)
        ORDER BY r.topic, r.partition_key, r.position LIMIT 1
    ) AS next
)
SELECT r.message_id, r.topic, r.partition, r.partition_key, r.attempts, r.attributes, r.data
FROM keys
JOIN bus.retries AS r USING (position)
JOIN unnest($2::text[], $3::smallint[]) AS owned (topic, partition)
     ON owned.topic = r.topic AND owned.partition = r.partition
WHERE NOT EXISTS (
    SELECT FROM bus.retries AS earlier
    WHERE earlier.consumer_group = $1 AND earlier.topic = r.topic AND earlier.partition_key = r.partition_key
      AND earlier.position < r.position
)
ORDER BY r.position
LIMIT $4
"""
"""Those that wait behind nobody: whoever was to call them up has died in between. It steps from key to key, so that a
long line costs no more than a short one."""

NEXT_DUE_SECONDS: Final = """
SELECT extract(epoch FROM min(due_at) - clock_timestamp())::float8 FROM bus.retries
WHERE consumer_group = $1 AND state = 'retry'
"""

HANDLED: Final = "SELECT message_id FROM bus.inbox WHERE consumer_group = $1 AND message_id = ANY ($2::uuid[])"
"""Those that were handled before: a copy of one need not wait behind its key, however long the line is."""

LINE: Final = """
SELECT message_id, topic, partition, partition_key, attempts, attributes, data, state FROM bus.retries
WHERE consumer_group = $1 AND topic = $2 AND partition_key = $3 ORDER BY position LIMIT $4
"""

CLEAR_LINE: Final = "DELETE FROM bus.retries WHERE consumer_group = $1 AND message_id = ANY ($2::uuid[])"

CLEAR_RETRY: Final = "DELETE FROM bus.retries WHERE consumer_group = $1 AND message_id = $2"

PROMOTE_NEXT: Final = """
UPDATE bus.retries SET state = 'retry', due_at = clock_timestamp()
WHERE consumer_group = $1 AND state = 'waiting' AND position = (
    SELECT min(position) FROM bus.retries WHERE consumer_group = $1 AND topic = $2 AND partition_key = $3
)
RETURNING message_id, topic, partition, partition_key, attempts, attributes, data
"""
"""The message that waited longest behind the key, now first in line."""

SUBSCRIBE: Final = """
INSERT INTO bus.subscriptions (consumer_group, type) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING
"""

SCHEDULE_TIMER: Final = """
INSERT INTO bus.timers (tenant_id, domain, name, due_at, topic, message_id, attributes, data)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (tenant_id, domain, name) DO UPDATE
SET due_at = EXCLUDED.due_at, topic = EXCLUDED.topic, message_id = EXCLUDED.message_id,
    attributes = EXCLUDED.attributes, data = EXCLUDED.data
"""

DROP_TIMER: Final = "DELETE FROM bus.timers WHERE tenant_id = $1 AND domain = $2 AND name = $3"

STORE_COMMAND: Final = """
INSERT INTO bus.command_outbox (message_id, tenant_id, topic, partition_key, attributes, data)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (message_id) DO NOTHING
"""

COMMANDS_PENDING: Final = """
SELECT position, topic, attributes, data FROM bus.command_outbox WHERE published_at IS NULL ORDER BY position LIMIT $1
"""

COMMANDS_AGAIN: Final = """
UPDATE bus.command_outbox SET published_at = NULL
WHERE published_at > clock_timestamp() - make_interval(hours => $1)
"""

COMMANDS_PUBLISHED: Final = """
WITH published AS (
    UPDATE bus.command_outbox SET published_at = clock_timestamp() WHERE position = ANY ($2::bigint[])
)
UPDATE bus.relay_cursors SET commands = $3 WHERE lane = $1
"""
