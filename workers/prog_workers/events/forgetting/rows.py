"""The rows that name a person: found a window at a time, so that no transaction is long, and written back without."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import orjson

from prog_broker.transaction import Transaction
from prog_contracts.events import EventPublished
from prog_workers.events.forgetting import scrubbing
from prog_workers.events.forgetting.scrubbing import Sought

WINDOW: Final = 20_000
"""Rows that one transaction looks at. Whoever looks for a text reads them all: there is no index of what is inside."""

_NAMED: Final = "EXISTS (SELECT FROM unnest($3::bytea[]) AS needle WHERE position(needle IN {}) > 0)"
_BY: Final = "actor = $4 OR starts_with(actor, $4 || '/')"

_LOG_END: Final = """
SELECT max(position) AS end, count(*) AS looked_at FROM (
    SELECT position FROM bus.event_log WHERE position > $1 ORDER BY position LIMIT $2) AS part
"""
_LOG: Final = f"""
SELECT position, actor, subject, partition_key, data FROM bus.event_log
WHERE position > $1 AND position <= $2 AND source IS NULL AND type <> $5 AND ({_BY} OR {_NAMED.format("data")})
"""
_WRITE_LOG: Final = """
UPDATE bus.event_log AS e SET data = u.data, subject = u.subject, partition_key = u.partition_key
FROM unnest($1::bigint[], $2::bytea[], $3::text[], $4::text[]) AS u (position, data, subject, partition_key)
WHERE e.position = u.position
"""

_ANSWERS_END: Final = """
SELECT max(message_id::text)::uuid AS end, count(*) AS looked_at FROM (
    SELECT message_id FROM bus.inbox WHERE message_id > $1 ORDER BY message_id LIMIT $2) AS part
"""
_TEXT_OF_ANSWER: Final = (
    "convert_to(concat(lower(partition_key), ' ', lower(subject), ' ', result, ' ', error), 'UTF8')"
)
_ANSWERS: Final = f"""
SELECT consumer_group, message_id, actor, subject, partition_key, result, error FROM bus.inbox
WHERE message_id > $1 AND message_id <= $2 AND ({_BY} OR {_NAMED.format(_TEXT_OF_ANSWER)})
"""
_WRITE_ANSWERS: Final = """
UPDATE bus.inbox AS i SET subject = u.subject, partition_key = u.partition_key, result = u.result::jsonb,
                          error = u.error::jsonb
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[])
     AS u (consumer_group, message_id, subject, partition_key, result, error)
WHERE i.consumer_group = u.consumer_group AND i.message_id = u.message_id
"""

_TEXT_OF_LETTER: Final = (
    "attributes || data || convert_to(concat(lower(partition_key), ' ', reason, ' ', traceback, ' ', history), 'UTF8')"
)
_LETTERS: Final = f"""
SELECT id, partition_key, attributes, data, reason, traceback, history FROM bus.dead_letters
WHERE {_NAMED.replace("$3", "$1").format(_TEXT_OF_LETTER)}
"""
_WRITE_LETTER: Final = """
UPDATE bus.dead_letters SET partition_key = $2, attributes = $3, data = $4, reason = $5, traceback = $6,
                            history = $7::jsonb WHERE id = $1
"""
_RETRIES: Final = f"""
SELECT position, partition_key, attributes, data, error FROM bus.retries AS r
WHERE (state = 'dead' OR (
    state = 'waiting' AND position('"sealed_person"'::bytea IN data) = 0
    AND EXISTS (SELECT FROM bus.retries AS letter
                WHERE letter.consumer_group = r.consumer_group AND letter.topic = r.topic
                  AND letter.partition_key = r.partition_key AND letter.state = 'dead')
)) AND {_NAMED.replace("$3", "$1").format("convert_to(attributes, 'UTF8') || data")}
"""
"""What waits behind a letter waits until somebody decides about that, and stays in its line. A command of this very
erasure that waits there keeps its person, or it could not be done any more."""
_WRITE_RETRY: Final = """
UPDATE bus.retries SET partition_key = $2, attributes = $3, data = $4, error = $5::jsonb WHERE position = $1
"""
_DROP_STORED: Final = f"""
DELETE FROM bus.command_outbox WHERE published_at IS NOT NULL
AND {_NAMED.replace("$3", "$1").format("convert_to(concat(lower(partition_key), ' ', attributes), 'UTF8') || data")}
"""

START: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows changed, and after what to go on; None: there is no more."""

    changed: int
    after: str | None


@asynccontextmanager
async def eraser(tx: Transaction, sought: Sought) -> AsyncIterator[None]:
    """The block may change what names this person, and nothing else of what the transaction may otherwise."""
    await tx.execute("SELECT set_config('prog.erased_person', $1, true)", sought.user_id)
    await tx.execute("SET LOCAL ROLE prog_eraser")
    yield
    # Where the block raises, the transaction takes no statement any more, and both end with it.
    await tx.execute("SET LOCAL ROLE NONE")
    await tx.execute("SELECT set_config('prog.erased_person', '', true)")


async def forget_in_log(tx: Transaction, sought: Sought, after: int, window: int) -> Progress:
    """Rewrites the next window of the log."""
    found = await tx.fetchrow(_LOG_END, after, window)
    assert found is not None
    rows = await tx.fetch(_LOG, after, found["end"] or after, sought.needles, sought.user_id, EventPublished.TYPE)
    changed = []
    for row in rows:
        before = (row["data"], row["subject"], row["partition_key"])
        data = scrubbing.body(row["data"], sought, actor=row["actor"])
        now = (data, sought.key(row["subject"]), sought.key(row["partition_key"]))
        if now != before:
            changed.append((row["position"], *now))
    more = found["looked_at"] >= window
    return Progress(await _write(tx, _WRITE_LOG, changed), str(found["end"]) if more else None)


async def forget_in_answers(tx: Transaction, sought: Sought, after: UUID, window: int) -> Progress:
    """The same for the answers that commands were given."""
    found = await tx.fetchrow(_ANSWERS_END, after, window)
    assert found is not None
    rows = await tx.fetch(_ANSWERS, after, found["end"] or after, sought.needles, sought.user_id)
    changed = []
    for row in rows:
        before = (row["subject"], row["partition_key"], row["result"], row["error"])
        acted = sought.acted(row["actor"])
        now = (
            sought.key(row["subject"]),
            sought.key(row["partition_key"]),
            _json(row["result"], sought, acted=acted),
            _json(row["error"], sought, acted=acted),
        )
        if now != before:
            changed.append((row["consumer_group"], row["message_id"], *now))
    more = found["looked_at"] >= window
    return Progress(await _write(tx, _WRITE_ANSWERS, changed), str(found["end"]) if more else None)


async def forget_in_letters(tx: Transaction, sought: Sought) -> int:
    """The same for what was given up, for what waits behind that, and for commands that the edge had stored. What is
    being tried again is left: it ends by itself."""
    count = 0
    for row in await tx.fetch(_LETTERS, sought.needles):
        count += 1
        await tx.execute(
            _WRITE_LETTER,
            row["id"],
            sought.key(row["partition_key"]),
            scrubbing.body(row["attributes"], sought, actor=None),
            scrubbing.body(row["data"], sought, actor=sought.user_id),
            sought.text(row["reason"], name=True),
            None if row["traceback"] is None else sought.text(row["traceback"], name=True),
            sought.text(row["history"], name=True),
        )
    for row in await tx.fetch(_RETRIES, sought.needles):
        count += 1
        await tx.execute(
            _WRITE_RETRY,
            row["position"],
            sought.key(row["partition_key"]),
            scrubbing.body(row["attributes"].encode(), sought, actor=None).decode(),
            scrubbing.body(row["data"], sought, actor=sought.user_id),
            None if row["error"] is None else sought.text(row["error"], name=True),
        )
    await tx.execute(_DROP_STORED, sought.needles)
    return count


async def _write(tx: Transaction, query: str, changed: Sequence[tuple[object, ...]]) -> int:
    if changed:
        await tx.execute(query, *(list(column) for column in zip(*changed, strict=True)))
    return len(changed)


def _json(text: str | None, sought: Sought, *, acted: bool) -> str | None:
    if text is None:
        return None
    found = orjson.loads(text)
    changed = scrubbing.value(found, sought, acted=acted)
    return text if changed == found else orjson.dumps(changed).decode()
