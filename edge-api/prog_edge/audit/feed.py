"""Writes what the edge has to tell into the database, twice a second and behind the requests.

An edge that is killed loses what it saw in its last half second, and no more than that: what a command did, and that it
was refused, is told in the database's own transactions and does not depend on this.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from prog_edge.audit.denials import Denial, Denials, Example, Told
from prog_edge.context import RequestContext
from prog_kit.database import FAILURES, Connection, Database
from prog_kit.logging import get
from prog_kit.tasks import cancelled

PERIOD_SECONDS: Final = 0.5
"""In step with HOLD_SECONDS of the recorder, which waits for what is written here."""
MOST_NOTES: Final = 20_000
"""Notes that wait while the database is away; of more the oldest are forgotten."""
LEAVE_SECONDS: Final = 3.0

_TENANT: Final = "SELECT set_config('prog.tenant_id', $1, true)"
_DENIALS: Final = """
INSERT INTO bus.audit_intake (tenant_id, told_by, outcome, at, until, action, code, permission, actor_kind, actor,
                              session_id, subject, count, client_address, request_id, trace_id, user_agent)
SELECT $1, 'edge', 'denial', u.* FROM unnest(
    $2::timestamptz[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::text[], $11::bigint[], $12::text[], $13::text[], $14::text[], $15::text[]) AS u
"""
_NOTES: Final = """
INSERT INTO events.audit_notes (message_id, tenant_id, actor_kind, session_id, request_id, client_address, user_agent)
SELECT u.message_id, $1, u.actor_kind, u.session_id, u.request_id, u.client_address, u.user_agent
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
     AS u (message_id, actor_kind, session_id, request_id, client_address, user_agent)
ON CONFLICT DO NOTHING
"""

_log = get("prog_edge.audit")


@dataclass(frozen=True, slots=True)
class Note:
    """Where a command came from."""

    tenant_id: str
    message_id: UUID
    actor_kind: str | None
    session_id: str | None
    request_id: str
    client_address: str | None
    user_agent: str | None


class AuditFeed:
    """One a process. `deny` and `note` cost a request next to nothing; `start` begins to write."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._denials = Denials()
        self._notes: list[Note] = []
        self._task: asyncio.Task[None] | None = None
        self._leaving = asyncio.Event()
        self._failing = False

    def deny(self, denial: Denial, context: RequestContext) -> None:
        """A request was turned away."""
        example = Example(context.request_id, context.trace_id, context.user_agent)
        self._denials.add(denial, example, datetime.now(UTC))

    def note(self, message_id: UUID, tenant_id: str, context: RequestContext) -> None:
        """A command goes out for a request."""
        if len(self._notes) >= MOST_NOTES:
            del self._notes[: MOST_NOTES // 10]
        self._notes.append(
            Note(
                tenant_id,
                message_id,
                context.actor_kind,
                context.session_id,
                context.request_id,
                context.client_address,
                context.user_agent,
            )
        )

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Tells all that is left. A write under way is waited for: of one that is cut off nobody knows what it did."""
        self._leaving.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(LEAVE_SECONDS):
                    if self._task is not None:
                        await self._task
                    await self.flush(everything=True)
        finally:
            if self._task is not None:
                await cancelled([self._task])

    async def flush(self, *, everything: bool = False) -> None:
        """Writes what is to be told now. What the database does not take is kept for the next time."""
        told, notes = self._denials.take(datetime.now(UTC), everything=everything), self._notes
        if not told and not notes:
            return
        self._notes = []
        try:
            async with self._database.transaction() as connection:
                await _write(connection, told, notes)
        except (TimeoutError, *FAILURES) as error:
            self._denials.put_back(told)
            self._notes = notes + self._notes
            if not self._failing:
                _log.warning("what the audit trail is to be told waits for the database", error=repr(error))
            self._failing = True
        else:
            self._failing = False

    async def _run(self) -> None:
        while not self._leaving.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_SECONDS):
                    await self._leaving.wait()
            await self.flush()


async def _write(connection: Connection, told: Sequence[Told], notes: Sequence[Note]) -> None:
    """Tenant by tenant, for the edge may write each one's rows in its scope alone."""
    by_tenant: dict[str, tuple[list[Told], list[Note]]] = defaultdict(lambda: ([], []))
    for each in told:
        by_tenant[each.denial.tenant_id][0].append(each)
    for note in notes:
        by_tenant[note.tenant_id][1].append(note)
    for tenant_id, (denials, noted) in by_tenant.items():
        await connection.execute(_TENANT, tenant_id)
        if denials:
            await connection.execute(_DENIALS, tenant_id, *_columns([_denial_row(each) for each in denials]))
        if noted:
            await connection.execute(_NOTES, tenant_id, *_columns([_note_row(note) for note in noted]))


def _denial_row(told: Told) -> tuple[Any, ...]:
    denial, example = told.denial, told.example
    until = told.until if told.count > 1 else None
    return (
        told.at, until, denial.action, denial.code, denial.permission, denial.actor_kind, denial.actor,
        denial.session_id, denial.subject, told.count, denial.client_address,
        *((None, None, None) if example is None else (example.request_id, example.trace_id, example.user_agent)),
    )  # fmt: skip


def _note_row(note: Note) -> tuple[Any, ...]:
    return (
        note.message_id, note.actor_kind, note.session_id, note.request_id, note.client_address, note.user_agent
    )  # fmt: skip


def _columns(rows: Sequence[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]
