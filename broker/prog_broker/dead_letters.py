"""Deciding about dead letters: look at them, run them again (perhaps mended), or drop them.

A letter whose handler failed parks its key: the messages behind it go on once it has been redriven or dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from pydantic import ValidationError

from prog_broker import sql
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Conflict, Invalid, NotFound
from prog_contracts.upcasting import UnknownVersion, UpcastFailed, newest, readable
from prog_kit.database import Connection, Database

LIST: Final = """
SELECT id, consumer_group, tenant_id, message_id, type, topic, partition_key, attempts, code, reason, fingerprint,
       state, recorded_at
FROM bus.dead_letters WHERE state = ANY ($1::text[]) ORDER BY recorded_at DESC LIMIT $2
"""

DECIDE: Final = """
UPDATE bus.dead_letters
SET state = $2, decided_at = clock_timestamp(), decided_by = $3,
    history = history || jsonb_build_array(jsonb_build_object('decision', $2::text, 'by', $3::text))
WHERE id = $1 AND state = 'open'
RETURNING *
"""

RUN_AGAIN: Final = """
INSERT INTO bus.retries (consumer_group, message_id, tenant_id, topic, partition, partition_key, attempts, state,
                         due_at, attributes, data)
VALUES ($1, $2, $3, $4, $5, $6, 0, 'retry', clock_timestamp(), $7, $8)
ON CONFLICT (consumer_group, message_id) DO UPDATE
SET state = 'retry', attempts = 0, due_at = EXCLUDED.due_at, data = EXCLUDED.data, error = NULL
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter in a list. `fingerprint` groups letters with one cause."""

    id: UUID
    consumer_group: str
    tenant_id: str
    message_id: UUID | None
    type: str | None
    topic: str
    partition_key: str | None
    attempts: int
    code: str
    reason: str
    fingerprint: str
    state: str
    recorded_at: datetime


async def listed(operator: Connection, *, states: tuple[str, ...] = ("open",), limit: int = 100) -> list[DeadLetter]:
    """The newest letters in these states, over all groups; `operator` is a connection from `Database.operator()`."""
    return [DeadLetter(**dict(row)) for row in await operator.fetch(LIST, list(states), limit)]


async def shown(operator: Connection, letter_id: UUID) -> dict[str, Any]:
    """All of one letter: message, reason, traceback and history. Raises NotFound."""
    row = await operator.fetchrow("SELECT * FROM bus.dead_letters WHERE id = $1", letter_id)
    if row is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    fields = dict(row)
    fields["attributes"] = _text(fields["attributes"])
    fields["data"] = _text(fields["data"])
    fields["history"] = orjson.loads(fields["history"])
    return fields


async def redrive(group: Database, letter_id: UUID, *, by: str, body: bytes | None = None) -> None:
    """Has the message run again by its consumer group, first in the line of its key; `body` replaces what it said.

    `group` is a database with the group's role. Raises NotFound, Conflict when it was decided before, and Invalid when
    the message still cannot be understood.
    """
    async with group.scope() as connection:
        letter = await _decide(connection, letter_id, "redriven", by)
        data = letter["data"] if body is None else body
        envelope = _understood(letter["attributes"], data)
        await connection.execute(
            "DELETE FROM bus.inbox WHERE consumer_group = $1 AND message_id = $2 AND status IN ('dead', 'failed')",
            letter["consumer_group"],
            envelope.id,
        )
        await connection.execute(
            RUN_AGAIN,
            letter["consumer_group"],
            envelope.id,
            envelope.tenant_id,
            letter["topic"],
            letter["partition"],
            envelope.partition_key,
            letter["attributes"].decode(),
            data,
        )


async def drop(group: Database, letter_id: UUID, *, by: str) -> None:
    """Gives the message up for good; those that waited behind it go on. Raises NotFound and Conflict."""
    async with group.scope() as connection:
        letter = await _decide(connection, letter_id, "dropped", by)
        if letter["message_id"] is None:
            return
        await connection.execute(
            "UPDATE bus.inbox SET status = 'dropped' WHERE consumer_group = $1 AND message_id = $2 AND status = 'dead'",
            letter["consumer_group"],
            letter["message_id"],
        )
        parked = await connection.execute(sql.CLEAR_RETRY, letter["consumer_group"], letter["message_id"])
        if parked != "DELETE 0":
            await connection.execute(
                sql.PROMOTE_NEXT, letter["consumer_group"], letter["topic"], letter["partition_key"]
            )


async def _decide(connection: Connection, letter_id: UUID, state: str, by: str) -> Any:
    letter = await connection.fetchrow(DECIDE, letter_id, state, by)
    if letter is not None:
        return letter
    if await connection.fetchval("SELECT 1 FROM bus.dead_letters WHERE id = $1", letter_id) is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    raise Conflict(f"dead letter {letter_id} was decided before", code="already_decided")


def _understood(attributes: bytes, data: bytes) -> Envelope:
    try:
        envelope = Envelope.parse(attributes, data)
    except ValueError as error:
        raise Invalid(f"the message cannot be read: {error}; drop it") from None
    model = newest(envelope.type)
    if model is None:
        raise Invalid(f"this version knows no {envelope.type}; upgrade or drop it")
    try:
        model.model_validate_json(readable(data, envelope.schema_version, model))
    except (UnknownVersion, UpcastFailed) as error:
        raise Invalid(str(error)) from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "body"
        raise Invalid(f"the body still breaks its schema: {place}: {first['msg']}; mend it with --body") from None
    return envelope


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")
