"""The carrier's part of a transaction: admit a batch through fence and inbox, append what it caused, keep its answers.

One statement each, whatever the size of the batch. `processing` says when they run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from prog_broker import sql
from prog_broker.decoding import Incoming
from prog_broker.ports import Shard
from prog_broker.replies import StoredAnswer
from prog_contracts.envelope import Envelope
from prog_contracts.messages import Event, Message, find
from prog_contracts.topics import topic_of
from prog_kit.database import Connection, Database


class Fenced(Exception):
    """The shard belongs to another worker by now: nothing of this batch was committed, nothing may be acknowledged."""


@dataclass(slots=True)
class Admission:
    """What ADMIT said: which messages are new, which keys are parked, and each tenant's test clock.

    `replay_id` is the replay that rebuilds a projection of the group just now: messages for it are left to it.
    """

    admitted: set[UUID]
    parked: set[str]
    clocks: dict[str, datetime]
    replay_id: UUID | None = None


async def admit(
    connection: Connection, shard: Shard, token: int, items: Sequence[Incoming], *, retrying: bool
) -> Admission:
    if len(items) == 1 and shard.topic.kind != "events":
        return await _admit_one(connection, shard, token, items[0].envelope, retrying=retrying)
    envelopes = [item.envelope for item in items]
    columns: list[list[Any]] = [
        [e.id for e in envelopes],
        [e.tenant_id for e in envelopes],
        [e.partition_key for e in envelopes],
    ]
    if shard.topic.kind != "events":
        columns += [
            [e.type for e in envelopes],
            [e.subject for e in envelopes],
            [e.actor for e in envelopes],
            [e.correlation_id for e in envelopes],
            [e.causation_id for e in envelopes],
            [e.time for e in envelopes],
        ]
    row = await connection.fetchrow(
        sql.ADMIT_EVENTS if shard.topic.kind == "events" else sql.ADMIT,
        shard.group,
        shard.topic.name,
        shard.partition,
        token,
        retrying,
        *columns,
    )
    assert row is not None
    if not row["leased"]:
        raise Fenced(shard.name)
    clocks = orjson.loads(row["clocks"]) if row["clocks"] else {}
    return Admission(
        admitted=set(row["admitted"] or ()),
        parked=set(row["parked"] or ()),
        clocks={tenant: datetime.fromisoformat(at) for tenant, at in clocks.items()},
        replay_id=row["replay_id"],
    )


async def _admit_one(connection: Connection, shard: Shard, token: int, e: Envelope, *, retrying: bool) -> Admission:
    row = await connection.fetchrow(
        sql.ADMIT_ONE,
        shard.group,
        shard.topic.name,
        shard.partition,
        token,
        retrying,
        e.id,
        e.tenant_id,
        e.partition_key,
        e.type,
        e.subject,
        e.actor,
        e.correlation_id,
        e.causation_id,
        e.time,
    )
    assert row is not None
    if not row["leased"]:
        raise Fenced(shard.name)
    return Admission(
        admitted={e.id} if row["admitted"] else set(),
        parked={e.partition_key} if row["parked"] else set(),
        clocks={} if row["stands_at"] is None else {e.tenant_id: row["stands_at"]},
        replay_id=row["replay_id"],
    )


async def handled_before(connection: Connection, group: str, items: Sequence[Incoming]) -> set[UUID]:
    rows = await connection.fetch(sql.HANDLED, group, [item.envelope.id for item in items])
    return {row["message_id"] for row in rows}


def worth_keeping(shard: Shard, answers: list[tuple[StoredAnswer, int]]) -> list[tuple[StoredAnswer, int]]:
    """Answers that the inbox must hold: those of commands. Nobody asks for an event's, and that it was handled is what
    the row itself says; so a batch of events without effects on others costs one statement."""
    if shard.topic.kind != "events":
        return answers
    return [(answer, microseconds) for answer, microseconds in answers if answer.status != "succeeded"]


async def append(connection: Connection, group: str, messages: list[Envelope]) -> None:
    """Appends messages to the event log in a transaction that no message has begun, as what a domain does by itself."""
    await connection.execute(sql.FINISH, finishing(group, [], messages, []))


def finishing(
    group: str,
    answers: list[tuple[StoredAnswer, int]],
    outgoing: list[Envelope],
    completed: list[StoredAnswer],
) -> bytes:
    """The document that FINISH takes: messages for the event log, in order, and answers for the inbox."""
    rows: list[tuple[StoredAnswer, int | None]] = [*answers, *((answer, None) for answer in completed)]
    return orjson.dumps(
        {
            "group": group,
            "messages": [_logged(envelope) for envelope in outgoing],
            "answers": [
                {
                    "message_id": answer.message_id,
                    "status": answer.status,
                    "result": answer.result,
                    "sealed_result": answer.sealed_result,
                    "error": answer.error,
                    "handler_microseconds": microseconds,
                }
                for answer, microseconds in rows
            ],
        }
    )


async def stored_answers(connection: Connection, group: str, known: list[Incoming]) -> list[tuple[StoredAnswer, int]]:
    """The answers that were given before, for callers of messages that came twice."""
    waiting = [item.envelope.id for item in known if item.envelope.reply_to]
    if not waiting:
        return []
    rows = await connection.fetch(sql.ANSWERS, group, waiting)
    return [(StoredAnswer(**dict(row)), 0) for row in rows]


@asynccontextmanager
async def fenced(database: Database, shard: Shard, token: int) -> AsyncIterator[Connection]:
    """A transaction that only commits while the lease is ours. Raises Fenced."""
    async with database.pool.acquire() as connection, connection.transaction():
        held = await connection.fetchval(sql.FENCE, shard.group, shard.topic.name, shard.partition, token)
        if held is None:
            raise Fenced(shard.name)
        yield connection


def sort(items: Sequence[Incoming], admission: Admission) -> tuple[list[Incoming], list[Incoming], list[Incoming]]:
    """Fresh ones, ones that must wait behind their key, and ones that were handled before."""
    fresh, waiting, known = [], [], []
    seen: set[UUID] = set()
    for item in items:
        envelope = item.envelope
        if envelope.partition_key in admission.parked:
            waiting.append(item)
        elif envelope.id in admission.admitted and envelope.id not in seen:
            seen.add(envelope.id)
            fresh.append(item)
        else:
            known.append(item)
    return fresh, waiting, known


def _logged(envelope: Envelope) -> dict[str, Any]:
    """A row of the event log, as FINISH takes it."""
    topic, kind = _topic_and_kind(envelope)
    return {
        "message_id": envelope.id,
        "kind": kind,
        "topic": topic,
        "type": envelope.type,
        "schema_version": envelope.schema_version,
        "tenant_id": envelope.tenant_id,
        "partition_key": envelope.partition_key,
        "subject": envelope.subject,
        "actor": envelope.actor,
        "correlation_id": envelope.correlation_id,
        "causation_id": envelope.causation_id,
        "traceparent": envelope.traceparent,
        "occurred_at": envelope.time,
        "data": envelope.data.decode(),
    }


def _topic_and_kind(envelope: Envelope) -> tuple[str, str]:
    model: type[Message] | None = find(envelope.type, envelope.schema_version)
    assert model is not None, envelope.type
    return topic_of(model).name, "event" if issubclass(model, Event) else "command"
