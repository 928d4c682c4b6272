"""Deciding about dead letters: look at them, mend them, run them again or drop them, one by one or all of one cause.

A letter whose handler failed parks its key: the messages behind it go on once it has been redriven or dropped. There is
one letter a message and group; its history tells each attempt and each decision, who took it, and what was edited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from pydantic import ValidationError

from prog_broker import sql
from prog_broker.decoding import explain, printable
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Conflict, Invalid, NotFound, ProgError
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
    history = history || jsonb_build_object('what', $2::text, 'by', $3::text, 'at', clock_timestamp())
WHERE id = $1 AND state = 'open'
RETURNING *
"""

EDIT: Final = """
UPDATE bus.dead_letters
SET data = $2,
    history = history
        || jsonb_build_object('what', 'edited', 'by', $3::text, 'at', clock_timestamp(), 'before', $4::text)
WHERE id = $1
"""

OF_CAUSE: Final = """
SELECT id FROM bus.dead_letters WHERE consumer_group = $1 AND fingerprint = $2 AND state = 'open'
ORDER BY recorded_at, id LIMIT $3
"""

MAX_TOGETHER: Final = 1000
"""Letters decided in one call; for more, call again."""

RUN_AGAIN: Final = """
INSERT INTO bus.retries (consumer_group, message_id, tenant_id, topic, partition, partition_key, attempts, state,
                         due_at, attributes, data)
VALUES ($1, $2, $3, $4, $5, $6, 0, 'retry', clock_timestamp(), $7, $8)
ON CONFLICT (consumer_group, message_id) DO UPDATE
SET state = 'retry', attempts = 0, due_at = EXCLUDED.due_at, data = EXCLUDED.data, error = NULL, history = '[]'
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
        if body is not None:
            await _edit(connection, letter_id, body, by)
        letter = await _decide(connection, letter_id, "redriven", by)
        data = letter["data"]
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


async def edit(group: Database, letter_id: UUID, body: bytes, *, by: str) -> None:
    """Replaces what the message says; it stays a dead letter. The history keeps what it said before.

    Raises NotFound, Conflict when it was decided, and Invalid when the new body breaks the message's schema.
    """
    async with group.scope() as connection:
        await _edit(connection, letter_id, body, by)


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a decision about many: `refused` are letters with the reason, which stay as they were.

    `more` tells that letters of the cause are left, because one call takes MAX_TOGETHER.
    """

    done: list[UUID]
    refused: list[tuple[UUID, ProgError]]
    more: bool = False


async def redrive_all(group: Database, letter_ids: Sequence[UUID], *, by: str) -> Decided:
    """Redrives letters of the group in the order given, each by itself: one that is refused holds up no other."""
    return await _each(letter_ids, lambda letter_id: redrive(group, letter_id, by=by))


async def drop_all(group: Database, letter_ids: Sequence[UUID], *, by: str) -> Decided:
    """Drops letters of the group, each by itself."""
    return await _each(letter_ids, lambda letter_id: drop(group, letter_id, by=by))


async def of_cause(group: Database, name: str, fingerprint: str) -> list[UUID]:
    """The open letters of consumer group `name` with one cause, the oldest first, at most MAX_TOGETHER.

    In this order keys keep theirs. Raises NotFound when there is none.
    """
    async with group.scope() as connection:
        rows = await connection.fetch(OF_CAUSE, name, fingerprint, MAX_TOGETHER)
    if not rows:
        raise NotFound("There is no open dead letter with this cause.")
    return [row["id"] for row in rows]


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


async def _each(letter_ids: Sequence[UUID], decide: Callable[[UUID], Awaitable[None]]) -> Decided:
    done, refused = [], []
    for letter_id in letter_ids:
        try:
            await decide(letter_id)
            done.append(letter_id)
        except ProgError as error:
            refused.append((letter_id, error))
    return Decided(done, refused, more=len(letter_ids) >= MAX_TOGETHER)


async def _edit(connection: Connection, letter_id: UUID, body: bytes, by: str) -> None:
    letter = await connection.fetchrow(
        "SELECT state, attributes, data FROM bus.dead_letters WHERE id = $1 FOR UPDATE", letter_id
    )
    if letter is None:
        raise NotFound(f"there is no dead letter {letter_id}")
    if letter["state"] != "open":
        raise Conflict(f"dead letter {letter_id} was decided before", code="already_decided")
    _understood(letter["attributes"], body)
    if body != letter["data"]:
        await connection.execute(EDIT, letter_id, body, by, printable(_text(letter["data"])))


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
        told = explain(error)
        raise Invalid(f"{told.message}; mend the body", code="invalid_body", fields=told.fields) from None
    return envelope


def _text(value: bytes) -> str:
    return value.decode(errors="backslashreplace")
