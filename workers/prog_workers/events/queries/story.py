"""The causal story of anything: which messages belong to it, who handled them, and how they hang together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from prog_contracts.ids import decode_id, is_id
from prog_contracts.permissions import concerns_billing
from prog_kit.database import Connection
from prog_workers.events.rules import MAX_STORY_NODES, Handling, NodeKind, Story, StoryNode, assemble

MAX_CORRELATIONS: Final = 50
"""Trees of a long-lived object: the newest ones."""

# Each branch reads its own index from the newest on; DISTINCT over the whole history of a tenant would not end.
_CORRELATIONS_OF_OBJECT: Final = """
SELECT correlation_id, max(at) AS at FROM (
    (SELECT correlation_id, coalesce(uuid_extract_timestamp(message_id), occurred_at) AS at
     FROM events.subjects WHERE object_id = $1 ORDER BY message_id DESC LIMIT $2)
    UNION ALL
    (SELECT correlation_id, recorded_at FROM bus.event_log WHERE subject = $1 ORDER BY position DESC LIMIT $2)
    UNION ALL
    (SELECT correlation_id, handled_at FROM bus.inbox WHERE subject = $1 ORDER BY handled_at DESC LIMIT $2)
) AS found
GROUP BY correlation_id ORDER BY at DESC LIMIT $3
"""

_CORRELATIONS_OF_MESSAGE: Final = """
SELECT correlation_id FROM bus.event_log WHERE message_id = $1
UNION SELECT correlation_id FROM bus.inbox WHERE message_id = $1 AND correlation_id IS NOT NULL
UNION (SELECT correlation_id FROM bus.event_log WHERE correlation_id = $1 LIMIT 1)
UNION (SELECT correlation_id FROM bus.inbox WHERE correlation_id = $1 LIMIT 1)
"""

_LOGGED: Final = """
SELECT message_id, kind, source_domain, type, tenant_id, correlation_id, causation_id, subject, actor, occurred_at,
       recorded_at, data
FROM bus.event_log WHERE correlation_id = ANY ($1::uuid[]) ORDER BY position LIMIT $2
"""

# Commands, and what failed, by their correlation; events by their ids in the log, for the inbox does not repeat what
# the log has. A message comes once a group.
_HANDLED: Final = """
SELECT * FROM (
    (SELECT message_id, consumer_group, type, tenant_id, correlation_id, causation_id, subject, actor, sent_at, status,
            handled_at, handler_microseconds, error
     FROM bus.inbox WHERE correlation_id = ANY ($1::uuid[]) ORDER BY handled_at LIMIT $2)
    UNION ALL
    (SELECT message_id, consumer_group, type, tenant_id, correlation_id, causation_id, subject, actor, sent_at, status,
            handled_at, handler_microseconds, error
     FROM bus.inbox WHERE message_id = ANY ($3::uuid[]) AND correlation_id IS NULL)
) AS found ORDER BY handled_at
"""

_PARKED: Final = """
SELECT message_id, consumer_group, state, attempts, error FROM bus.retries WHERE message_id = ANY ($1::uuid[])
"""

_GROUPS: Final = 6
"""Consumer groups that may have handled one message, at most."""


async def story(
    connection: Connection, any_id: str, *, limit: int = MAX_STORY_NODES, billing: bool = True
) -> Story | None:
    """The trees that touch an object (`invoice_…`), a message or a correlation (UUID, or `operation_…`).

    None when nothing is known of the id, or nothing that the connection may see. At most `limit` messages. Without
    `billing` those are left out that tell how a tenant pays; what they caused begins trees of its own.
    """
    correlations = await _correlations(connection, any_id)
    if not correlations:
        return None
    logged = await connection.fetch(_LOGGED, correlations, limit + 1)
    in_log = [row["message_id"] for row in logged]
    handled = await connection.fetch(_HANDLED, correlations, (limit + 1) * _GROUPS, in_log)
    known = list({row["message_id"] for row in (*logged, *handled)})
    parked = await connection.fetch(_PARKED, known)
    handlings = _handlings(handled, parked)
    nodes = [_logged_node(row, handlings) for row in logged]
    nodes += [_inbox_node(row, handlings) for row in handled if row["type"] is not None]
    if not billing:
        nodes = _without_billing(nodes)
        if not nodes:
            return None
    return assemble(any_id, nodes, limit=limit)


def _without_billing(nodes: Sequence[StoryNode]) -> list[StoryNode]:
    """Mails that a hidden message caused are hidden too: their commands do not name the template."""
    effects: dict[UUID | None, list[StoryNode]] = defaultdict(list)
    for node in nodes:
        effects[node.causation_id].append(node)
    waiting = [node for node in nodes if concerns_billing(node.type, node.body)]
    hidden: set[UUID] = set()
    while waiting:
        message_id = waiting.pop().message_id
        if message_id not in hidden:
            hidden.add(message_id)
            waiting += [node for node in effects[message_id] if node.type.startswith("prognetwork.email.")]
    return [node for node in nodes if node.message_id not in hidden]


async def _correlations(connection: Connection, any_id: str) -> list[UUID]:
    message_id = _message_id(any_id)
    if message_id is not None:
        rows = await connection.fetch(_CORRELATIONS_OF_MESSAGE, message_id)
    elif is_id(any_id):
        rows = await connection.fetch(_CORRELATIONS_OF_OBJECT, any_id, MAX_CORRELATIONS * 20, MAX_CORRELATIONS)
    else:
        rows = []
    return [row["correlation_id"] for row in rows]


def _message_id(any_id: str) -> UUID | None:
    """The message that an id names; None for the id of an object, or for no id at all."""
    try:
        return decode_id(any_id, "operation") if any_id.startswith("operation_") else UUID(any_id)
    except ValueError:
        return None


def _handlings(
    handled: Sequence[asyncpg.Record], parked: Sequence[asyncpg.Record]
) -> Mapping[UUID, tuple[Handling, ...]]:
    attempts = {(row["message_id"], row["consumer_group"]): max(row["attempts"], 1) for row in parked}
    found: dict[UUID, list[Handling]] = defaultdict(list)
    seen: set[tuple[UUID, str]] = set()
    for row in handled:
        key = (row["message_id"], row["consumer_group"])
        seen.add(key)
        found[row["message_id"]].append(
            Handling(
                group=row["consumer_group"],
                status=row["status"],
                handled_at=row["handled_at"],
                microseconds=row["handler_microseconds"],
                attempts=attempts.get(key, 1),
                error=_json(row["error"]),
            )
        )
    for row in parked:
        key = (row["message_id"], row["consumer_group"])
        if key not in seen:
            status = {"retry": "retrying", "waiting": "waiting", "dead": "dead"}[row["state"]]
            found[row["message_id"]].append(
                Handling(row["consumer_group"], status, None, None, attempts[key], _json(row["error"]))  # type: ignore[arg-type]
            )
    return {message_id: tuple(items) for message_id, items in found.items()}


def _logged_node(row: asyncpg.Record, handlings: Mapping[UUID, tuple[Handling, ...]]) -> StoryNode:
    fields = dict(row)
    fired = fields.pop("source_domain") == "scheduler"
    kind: NodeKind = "timer" if fired else fields["kind"]
    fields.update(kind=kind, body=_json(fields.pop("data")))
    return StoryNode(**fields, handled=handlings.get(row["message_id"], ()))


def _inbox_node(row: asyncpg.Record, handlings: Mapping[UUID, tuple[Handling, ...]]) -> StoryNode:
    """A message that the log does not hold: a command that came in through the edge."""
    return StoryNode(
        message_id=row["message_id"],
        kind="command",
        type=row["type"],
        tenant_id=row["tenant_id"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        occurred_at=row["sent_at"],
        recorded_at=_sent_at(row["message_id"]) or row["handled_at"],
        subject=row["subject"],
        actor=row["actor"],
        handled=handlings.get(row["message_id"], ()),
    )


def _sent_at(message_id: UUID) -> datetime | None:
    """The machine's time at which an id was made, which a UUIDv7 begins with (RFC 9562, section 5.7)."""
    return datetime.fromtimestamp((message_id.int >> 80) / 1000, UTC) if message_id.version == 7 else None


def _json(content: str | bytes | None) -> Any:
    return None if content is None else orjson.loads(content)
