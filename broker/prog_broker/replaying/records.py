"""Rows of bus.replays: asking for a replay, watching it, and deciding about it.

Whoever decides works in the group's own role, as for dead letters; reading is for operators, across all groups.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import orjson

from prog_broker.replaying.selection import Modes, Scope, Selection
from prog_contracts.errors import Conflict, Invalid, NotFound
from prog_contracts.ids import new_message_id
from prog_contracts.topics import DOMAINS
from prog_kit.database import Connection, Database

State = Literal["pending", "running", "paused", "done", "failed", "cancelled"]
OVER: Final = ("done", "failed", "cancelled")

_COLUMNS: Final = """
    r.id, r.consumer_group, r.state, r.requested_by, r.reason, r.rebuild, r.skip_failing, r.types, r.tenant_id,
    r.subject, r.stream, r.from_position, r.to_position, r.from_time, r.to_time, r.holds_live,
    r.cursor_txid::text AS cursor_txid, r.cursor_position, r.fence_txid::text AS fence_txid, r.total, r.done, r.failed,
    r.suppressed, r.busy_seconds, r.failure, r.history, r.owner, r.token, r.requested_at, r.started_at, r.ended_at
"""

_INSERT: Final = """
INSERT INTO bus.replays (id, consumer_group, requested_by, reason, rebuild, skip_failing, types, tenant_id, subject,
                         stream, from_position, to_position, from_time, to_time, history)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14,
        jsonb_build_array(jsonb_build_object('what', 'requested', 'by', $3::text, 'at', clock_timestamp())))
"""

_DECIDE: Final = """
UPDATE bus.replays AS r
SET state = $2, expires_at = '-infinity', token = token + 1,
    ended_at = CASE WHEN $2 = 'cancelled' THEN clock_timestamp() END,
    failure = CASE WHEN $3 <> 'resumed' THEN failure END,
    history = history || jsonb_build_object('what', $3::text, 'by', $4::text, 'at', clock_timestamp())
WHERE id = $1 AND state = ANY ($5::text[])
"""

_LIVE_MEMBERS: Final = """
SELECT consumer_group FROM bus.members WHERE seen_until > clock_timestamp() GROUP BY consumer_group
"""


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What somebody asks for. `rebuild` resets the projection first; `reason` is for those who read the list later."""

    group: str
    reason: str
    scope: Scope = field(default_factory=Scope)
    rebuild: bool = False
    skip_failing: bool = False


@dataclass(frozen=True, slots=True)
class Replay:
    """A replay as it stands. `suppressed` counts messages and timers of handlers, none of which left the replay.

    `failure` tells of the message at which it stopped, or of the last one that it passed over.
    """

    id: UUID
    group: str
    state: State
    requested_by: str
    reason: str
    rebuild: bool
    skip_failing: bool
    scope: Scope
    holds_live: bool
    cursor: tuple[str, int]
    fence_txid: str | None
    total: int | None
    done: int
    failed: int
    suppressed: int
    busy_seconds: float
    failure: dict[str, Any] | None
    history: list[dict[str, Any]]
    owner: str
    token: int
    requested_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    waits_for_worker: bool = False
    """True while it is to run and no process serves its group."""

    @property
    def is_over(self) -> bool:
        return self.state in OVER

    @property
    def per_second(self) -> float | None:
        """Messages a second while it was at work; None before the first batch."""
        return self.done / self.busy_seconds if self.done and self.busy_seconds > 0 else None

    @property
    def eta_seconds(self) -> float | None:
        """How long the rest takes at this rate; None when that is not known."""
        rate = self.per_second
        if self.is_over or self.total is None or not rate:
            return None
        return max(0, self.total - self.done) / rate

    @property
    def fraction(self) -> float | None:
        """How much of it is done, from 0 to 1."""
        if self.state == "done":
            return 1.0
        return None if not self.total else min(1.0, self.done / self.total)

    @classmethod
    def of(cls, row: asyncpg.Record, live_groups: frozenset[str] | None = None) -> Replay:
        fields = dict(row)
        scope = Scope(
            types=tuple(fields.pop("types")),
            **{name: fields.pop(name) for name in Scope.__dataclass_fields__ if name != "types"},
        )
        group = fields.pop("consumer_group")
        cursor = (fields.pop("cursor_txid"), fields.pop("cursor_position"))
        failure, history = fields.pop("failure"), fields.pop("history")
        idle = live_groups is not None and group not in live_groups and fields["state"] in ("pending", "running")
        return cls(
            **fields,
            group=group,
            scope=scope,
            cursor=cursor,
            failure=None if failure is None else orjson.loads(failure),
            history=orjson.loads(history),
            waits_for_worker=idle,
        )


async def start(group: Database, request: ReplayRequest, *, by: str) -> UUID:
    """Asks for a replay; a worker of the group takes it up within about a second. Returns its id.

    `group` is a database with the group's role. Raises Invalid when the scope makes no sense, when the group can replay
    nothing of it, or when the log holds nothing of it; Conflict while another replay of the group is not over. A group
    that no worker has ever served cannot be asked what it can replay: then its first worker decides.
    """
    check_group(request.group)
    if not request.reason.strip():
        raise Invalid.field("reason", "missing", "Say why: others will read it.")
    scope, replay_id = request.scope, new_message_id()
    scope.check()
    async with group.scope() as connection:
        modes = await stored_modes(connection, request.group)
        selection = Selection(request.group, scope, modes, request.rebuild)
        if modes:
            selection.check()
        try:
            await connection.execute(
                _INSERT, replay_id, request.group, by, request.reason.strip(), request.rebuild, request.skip_failing,
                list(scope.types), scope.tenant_id, scope.subject, scope.stream, scope.from_position,
                scope.to_position, scope.from_time, scope.to_time,
            )  # fmt: skip
        except asyncpg.UniqueViolationError:
            raise Conflict(
                f"Another replay of {request.group} is not over; wait for it or cancel it.", code="replay_running"
            ) from None
        if modes and not request.rebuild and not await _finds_anything(connection, selection):
            raise Invalid("The log holds nothing of this scope for this group.", code="nothing_to_replay")
    return replay_id


async def pause(group: Database, replay_id: UUID, *, by: str) -> None:
    """Stops it after the batch at work; `resume` goes on there. Raises NotFound and Conflict."""
    async with group.scope() as connection:
        await _decide(connection, replay_id, "paused", "paused", by, ("pending", "running"))


async def resume(group: Database, replay_id: UUID, *, by: str, skip_failing: bool | None = None) -> None:
    """Goes on where it was paused, or where it failed. Raises NotFound and Conflict."""
    async with group.scope() as connection:
        try:
            await _decide(connection, replay_id, "pending", "resumed", by, ("paused", "failed"))
        except asyncpg.UniqueViolationError:
            raise Conflict("Another replay of this group is not over.", code="replay_running") from None
        if skip_failing is not None:
            await connection.execute("UPDATE bus.replays SET skip_failing = $2 WHERE id = $1", replay_id, skip_failing)


async def cancel(group: Database, replay_id: UUID, *, by: str, leave_incomplete: bool = False) -> None:
    """Ends it for good; what it did stays.

    A replay that has reset a projection has left a part of it empty: it is given up only with `leave_incomplete`, and
    the projection is then wrong until it is rebuilt. Raises NotFound and Conflict.
    """
    from prog_broker.replaying import holding

    async with group.scope() as connection:
        row = await connection.fetchrow(
            "SELECT consumer_group, holds_live FROM bus.replays WHERE id = $1 FOR UPDATE", replay_id
        )
        if row is not None and row["holds_live"] and not leave_incomplete:
            raise Conflict(
                "The projection was reset and is not complete yet: resume the replay, or cancel it knowing that the"
                " projection stays incomplete until it is rebuilt.",
                code="projection_incomplete",
            )
        await _decide(connection, replay_id, "cancelled", "cancelled", by, ("pending", "running", "paused", "failed"))
        if row is not None and row["holds_live"]:
            await holding.hold(connection, row["consumer_group"], None)
            await connection.execute("UPDATE bus.replays SET holds_live = false WHERE id = $1", replay_id)


async def listed(
    operator: Connection,
    *,
    group: str | None = None,
    state: State | None = None,
    limit: int = 50,
    before: tuple[datetime, UUID] | None = None,
) -> list[Replay]:
    """Replays, the newest first; `operator` is a connection from `Database.operator()`. `before` pages on."""
    rows = await operator.fetch(
        f"SELECT {_COLUMNS} FROM bus.replays AS r"
        " WHERE consumer_group = coalesce($1, consumer_group) AND state = coalesce($2, state)"
        " AND (requested_at, id) < (coalesce($3, 'infinity'::timestamptz), coalesce($4, id))"
        " ORDER BY requested_at DESC, id DESC LIMIT $5",
        group, state, None if before is None else before[0], None if before is None else before[1], limit,
    )  # fmt: skip
    live = await _live_groups(operator)
    return [Replay.of(row, live) for row in rows]


async def shown(operator: Connection, replay_id: UUID) -> Replay:
    """One replay. Raises NotFound."""
    row = await operator.fetchrow(f"SELECT {_COLUMNS} FROM bus.replays AS r WHERE id = $1", replay_id)
    if row is None:
        raise NotFound("There is no such replay.")
    return Replay.of(row, await _live_groups(operator))


async def found(connection: Connection, replay_id: UUID) -> Replay:
    """One replay, as a worker of its group reads it, without asking who is alive. Raises NotFound."""
    row = await connection.fetchrow(f"SELECT {_COLUMNS} FROM bus.replays AS r WHERE id = $1", replay_id)
    if row is None:
        raise NotFound("There is no such replay.")
    return Replay.of(row)


async def stored_modes(connection: Connection, group: str) -> Modes:
    """What the group's handlers allow, as its last worker wrote it down; empty when there never was one."""
    rows = await connection.fetch("SELECT type, mode FROM bus.replay_handlers WHERE consumer_group = $1", group)
    return {row["type"]: row["mode"] for row in rows}


async def keep_modes(connection: Connection, group: str, modes: Modes) -> None:
    """Writes down what the group's handlers allow."""
    await connection.execute(
        "DELETE FROM bus.replay_handlers WHERE consumer_group = $1 AND type <> ALL ($2::text[])", group, list(modes)
    )
    await connection.execute(
        "INSERT INTO bus.replay_handlers (consumer_group, type, mode)"
        " SELECT $1, u.type, u.mode FROM unnest($2::text[], $3::text[]) AS u (type, mode) ORDER BY u.type"
        " ON CONFLICT (consumer_group, type) DO UPDATE SET mode = EXCLUDED.mode"
        " WHERE replay_handlers.mode <> EXCLUDED.mode",
        group, list(modes), list(modes.values()),
    )  # fmt: skip


def check_group(group: str) -> None:
    """Raises Invalid for what is no consumer group."""
    if group not in DOMAINS:
        raise Invalid.field(
            "group", "unknown_group", f"There is no consumer group {group[:64]!r}: {', '.join(DOMAINS)}."
        )


async def _decide(
    connection: Connection, replay_id: UUID, state: State, what: str, by: str, states: tuple[State, ...]
) -> None:
    status = await connection.execute(_DECIDE, replay_id, state, what, by, list(states))
    if status != "UPDATE 0":
        return
    now = await connection.fetchval("SELECT state FROM bus.replays WHERE id = $1", replay_id)
    if now is None:
        raise NotFound("There is no such replay.")
    raise Conflict(f"The replay is {now}: it cannot be {what}.", code="replay_state")


async def _finds_anything(connection: Connection, selection: Selection) -> bool:
    where = selection.where()
    return bool(await connection.fetchval(f"SELECT EXISTS (SELECT FROM bus.event_log WHERE {where})", *where.values))


async def _live_groups(operator: Connection) -> frozenset[str]:
    return frozenset(row["consumer_group"] for row in await operator.fetch(_LIVE_MEMBERS))
