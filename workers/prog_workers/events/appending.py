"""Appending a tenant's own events: what is stored already, the next versions of their streams, and the rows of the log.

One transaction for all events of a request. A stream's row is locked from its new version to the commit, so that of
writers that expect the same version one wins; streams are locked by the alphabet, so that two requests never wait for
each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import orjson

from prog_broker.transaction import Transaction
from prog_contracts.errors import Conflict, FieldError, Invalid, Unavailable
from prog_contracts.events import NewEvent
from prog_contracts.ids import new_message_id
from prog_contracts.topics import TOPICS

TOPIC: Final = TOPICS["prog.events.events"]

MAX_TYPES: Final = 1000
"""Types of events that one tenant may publish."""

_STORED: Final = """
SELECT p.source, p.source_id, p.message_id, p.position, p.stream, p.stream_version, p.digest
FROM bus.published_events AS p JOIN unnest($2::text[], $3::text[]) AS u (source, id)
     ON p.tenant_id = $1 AND p.source = u.source AND p.source_id = u.id
"""

_NEXT_VERSIONS: Final = """
INSERT INTO bus.streams AS s (tenant_id, stream, version)
SELECT $1, u.stream, u.more FROM unnest($2::text[], $3::bigint[]) AS u (stream, more) ORDER BY u.stream
ON CONFLICT (tenant_id, stream) DO UPDATE SET version = s.version + EXCLUDED.version, appended_at = clock_timestamp()
RETURNING stream, version
"""

_POSITIONS: Final = "SELECT nextval('bus.event_log_position_seq') FROM generate_series(1, $1)"

_APPEND: Final = """
INSERT INTO bus.event_log (position, message_id, kind, topic, source_domain, type, schema_version, tenant_id,
                           partition_key, subject, actor, correlation_id, causation_id, traceparent, occurred_at, data,
                           stream, stream_version, source, source_id, extensions)
OVERRIDING SYSTEM VALUE
SELECT u.position, u.message_id, 'event', $1, 'events', u.type, u.schema_version, $2, coalesce(u.stream, $2),
       u.subject, $3, $4, $5, $6, u.occurred_at, u.data, u.stream, u.stream_version, u.source, u.source_id,
       u.extensions::jsonb
FROM unnest($7::bigint[], $8::uuid[], $9::text[], $10::smallint[], $11::text[], $12::timestamptz[], $13::bytea[],
            $14::text[], $15::bigint[], $16::text[], $17::text[], $18::text[])
     AS u (position, message_id, type, schema_version, subject, occurred_at, data, stream, stream_version, source,
           source_id, extensions)
ORDER BY u.position
"""

_REMEMBER: Final = """
INSERT INTO bus.published_events (tenant_id, source, source_id, message_id, position, stream, stream_version, digest)
SELECT $1, u.* FROM unnest($2::text[], $3::text[], $4::uuid[], $5::bigint[], $6::text[], $7::bigint[], $8::bytea[])
     AS u (source, source_id, message_id, position, stream, stream_version, digest)
ORDER BY u.source, u.source_id
ON CONFLICT DO NOTHING
"""

_NEW_TYPES: Final = """
WITH added AS (
    INSERT INTO bus.event_types (tenant_id, type) SELECT $1, t FROM unnest($2::text[]) AS t ORDER BY t
    ON CONFLICT DO NOTHING RETURNING type
)
SELECT (SELECT count(*) FROM added) AS added,
       (SELECT count(*) FROM bus.event_types WHERE tenant_id = $1) AS known
"""


@dataclass(frozen=True, slots=True)
class Stored:
    """Where an event is. `duplicate` tells that it was there before."""

    message_id: UUID
    position: int
    stream: str | None
    version: int | None
    duplicate: bool = False


async def append(
    tx: Transaction,
    events: Sequence[NewEvent],
    *,
    expected_version: int | str | None = None,
    schema_versions: Mapping[int, int] | None = None,
) -> list[Stored]:
    """Stores all of `events` in order, or none; returns where each is.

    `schema_versions` has, by an event's index, the version of the schema that it was held against. Raises Conflict
    `wrong_expected_version` or `event_id_reused`, Invalid, and Unavailable when another transaction is storing one of
    them right now.
    """
    _each_once(events)
    digests = [_digest(event) for event in events]
    there = await _stored(tx, events, digests)
    fresh = [index for index in range(len(events)) if index not in there]
    if fresh:
        await _know_types(tx, sorted({events[index].type for index in fresh}))
        versions = await _versions(tx, [events[index] for index in fresh], expected_version)
        written = await _write(tx, events, fresh, versions, digests, schema_versions or {})
        there.update(written)
    return [there[index] for index in range(len(events))]


def _each_once(events: Sequence[NewEvent]) -> None:
    seen: set[tuple[str, str]] = set()
    for index, event in enumerate(events):
        if (event.source, event.id) in seen:
            raise Invalid.field(f"{index}.id", "twice", "An earlier event of this request has the same source and id.")
        seen.add((event.source, event.id))


async def _stored(tx: Transaction, events: Sequence[NewEvent], digests: Sequence[bytes]) -> dict[int, Stored]:
    rows = await tx.fetch(_STORED, tx.tenant_id, [event.source for event in events], [event.id for event in events])
    by_name = {(row["source"], row["source_id"]): row for row in rows}
    found: dict[int, Stored] = {}
    reused = []
    for index, event in enumerate(events):
        row = by_name.get((event.source, event.id))
        if row is not None and row["digest"] == digests[index]:
            found[index] = Stored(row["message_id"], row["position"], row["stream"], row["stream_version"], True)
        elif row is not None:
            message = "An event with this source and id says something else."
            reused.append(FieldError(field=f"{index}.id", code="event_id_reused", message=message))
    if reused:
        raise Conflict("An event's source and id name one event alone.", code="event_id_reused", fields=reused)
    return found


async def _know_types(tx: Transaction, types: Sequence[str]) -> None:
    row = await tx.fetchrow(_NEW_TYPES, tx.tenant_id, types)
    assert row is not None
    # The count was taken before the insert.
    if row["added"] and row["added"] + row["known"] > MAX_TYPES:
        raise Invalid(f"A tenant may publish events of {MAX_TYPES} types at most.", code="too_many_types")


async def _versions(
    tx: Transaction, events: Sequence[NewEvent], expected_version: int | str | None
) -> list[int | None]:
    """The version of each event in its stream. From here on the streams are ours until the commit."""
    more = Counter(event.appended_to for event in events if event.appended_to is not None)
    if expected_version not in (None, "any") and (len(more) != 1 or any(e.appended_to is None for e in events)):
        message = "An expected version goes with events of one stream; give each a subject or the same stream."
        raise Invalid.field("expected_version", "one_stream", message)
    if not more:
        return [None] * len(events)
    rows = await tx.fetch(_NEXT_VERSIONS, tx.tenant_id, list(more), list(more.values()))
    last = {row["stream"]: row["version"] - more[row["stream"]] for row in rows}
    if expected_version not in (None, "any"):
        [(stream, current)] = last.items()
        if current != (0 if expected_version == "none" else expected_version):
            raise wrong_expected_version(stream, expected_version, current)
    versions: list[int | None] = []
    for event in events:
        if event.appended_to is None:
            versions.append(None)
            continue
        last[event.appended_to] += 1
        versions.append(last[event.appended_to])
    return versions


def wrong_expected_version(stream: str, expected: int | str | None, current: int) -> Conflict:
    """Who appends must look again: somebody else did in between."""
    message = f"The stream {stream} is at version {current}, not {expected}."
    fields = [FieldError(field="expected_version", code="wrong_expected_version", message=str(current))]
    return Conflict(message, code="wrong_expected_version", fields=fields)


async def _write(
    tx: Transaction,
    events: Sequence[NewEvent],
    fresh: Sequence[int],
    versions: Sequence[int | None],
    digests: Sequence[bytes],
    schema_versions: Mapping[int, int],
) -> dict[int, Stored]:
    positions = [row[0] for row in await tx.fetch(_POSITIONS, len(fresh))]
    written = {
        index: Stored(new_message_id(), position, events[index].appended_to, version)
        for index, position, version in zip(fresh, positions, versions, strict=True)
    }
    rows = list(written.values())
    chosen = [events[index] for index in fresh]
    sources, ids = [event.source for event in chosen], [event.id for event in chosen]
    streams, numbers = [row.stream for row in rows], [row.version for row in rows]
    message_ids = [row.message_id for row in rows]
    await tx.execute(
        _APPEND, TOPIC.name, tx.tenant_id, tx.actor, tx.correlation_id, tx.message_id, tx.envelope.traceparent,
        positions, message_ids, [event.type for event in chosen], [schema_versions.get(index, 0) for index in fresh],
        [event.subject for event in chosen], [event.time or tx.now for event in chosen],
        [orjson.dumps(event.data) for event in chosen], streams, numbers, sources, ids,
        [_extensions(event) for event in chosen],
    )  # fmt: skip
    kept = await tx.execute(
        _REMEMBER, tx.tenant_id, sources, ids, message_ids, positions, streams, numbers,
        [digests[index] for index in fresh],
    )  # fmt: skip
    if kept != f"INSERT 0 {len(fresh)}":
        raise Unavailable("One of the events is being stored by another request.", code="stored_meanwhile")
    tx.appended = True
    return written


def _extensions(event: NewEvent) -> str | None:
    found: dict[str, Any] = dict(event.extensions)
    if event.dataschema is not None:
        found["dataschema"] = event.dataschema
    return orjson.dumps(found).decode() if found else None


def _digest(event: NewEvent) -> bytes:
    """Of all that the sender said. Without a time, the one that the platform gives is not part of it."""
    content = event.model_dump(mode="json")
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()[:16]
