"""The recorder: what happened, from the database into the chains, in the order in which it was committed.

A row of the event log is in the same transaction as the state that it tells of, and a refusal is told in the
transaction that refuses; so nothing that was committed can be missing here, whatever becomes of the broker or of the
process that committed it. The cursor moves in the transaction that appends, so nothing is there twice. One recorder
works at a time, by the cursor's lock; those of other workers stand by.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import asyncpg
import orjson

from prog_contracts.users import UserDeleted
from prog_kit import logging
from prog_kit.database import FAILURES, Connection, Database
from prog_kit.telemetry import trace_id
from prog_workers.events.audit import deciding, signing, writing
from prog_workers.events.audit.entries import Happening, Origin

log = logging.get("prog_workers.events.audit")

BATCH: Final = 1000
"""Rows of each kind in one transaction."""
IDLE_SECONDS: Final = 0.5
HOLD_SECONDS: Final = 2.0
"""An entry is written so long after it happened, for the edge notes twice a second where commands came from."""
TIDY_SECONDS: Final = 30.0
"""How often heads are signed and old notes are taken out."""
OLD_ORIGINS: Final = 5000
"""Of those that are taken out at a time: more than come."""
PATIENCE_SECONDS: Final = 5.0
"""Between two tries while the database does not answer."""

RECORDER: Final = "audit"
ERASED: Final = "audit.origins_erased"
"""The action of the entry that tells in each chain that a person's origins were deleted from it."""


class Recorder:
    """`run` records until it is cancelled; `record` and `tidy` are its steps, which tests call directly."""

    def __init__(
        self,
        database: Database,
        signer: signing.Signer,
        *,
        hold_seconds: float = HOLD_SECONDS,
        batch: int = BATCH,
        origin_days: int = 0,
    ) -> None:
        self._database = database
        self._signer = signer
        self._hold_seconds = hold_seconds
        self._batch = batch
        self._origin_days = origin_days
        self._horizons: deque[tuple[float, str]] = deque()
        self._tidied_at = -TIDY_SECONDS

    async def run(self) -> None:
        failing = False
        while True:
            more = False
            try:
                more = await self.record()
                if time.monotonic() - self._tidied_at >= TIDY_SECONDS:
                    self._tidied_at = time.monotonic()
                    await self.tidy()
                failing = False
            except FAILURES as error:
                if not failing:
                    log.warning("the audit trail waits for the database", error=repr(error))
                failing = True
                await asyncio.sleep(PATIENCE_SECONDS)
            if not more:
                await asyncio.sleep(IDLE_SECONDS)

    async def record(self) -> bool:
        """Appends the next batch; whether there may be more just now.

        Raises asyncpg errors and OSError when the database does not take it; nothing was done then.
        """
        async with self._database.transaction() as connection:
            await connection.execute("SET LOCAL ROLE prog_auditor")
            before = self._settled(await writing.horizon(connection))
            cursor = None if before is None else await writing.take_turn(connection)
            if before is None or cursor is None:
                return False
            logged = await writing.logged(connection, cursor, before, self._batch)
            told = await writing.told(connection, before, self._batch)
            if not logged and not told:
                return False
            until = _common_end(logged, told, self._batch)
            logged = [row for row in logged if until is None or int(row["txid"]) <= until]
            told = [row for row in told if until is None or int(row["txid"]) <= until]
            await self._append(connection, logged, told)
            if logged:
                await writing.read_up_to(connection, (logged[-1]["txid"], logged[-1]["position"]))
            await writing.forget_told(connection, [row["position"] for row in told])
            return until is not None

    async def tidy(self) -> None:
        """Signs the heads that have moved since they were signed last, and takes out old notes, and origins that are
        older than they are kept; 0 days is for ever."""
        async with self._database.transaction() as connection:
            await connection.execute("SET LOCAL ROLE prog_auditor")
            if await writing.take_turn(connection) is None:
                return
            for head in await signing.sign_heads(connection, self._signer):
                # A log that is kept elsewhere is what no administrator of the database can change.
                log.info("audit trail signed", tenant_id=head.tenant_id, sequence=head.sequence, hash=head.hash.hex())
            await writing.forget_notes(connection)
            if self._origin_days:
                await writing.forget_old_origins(connection, self._origin_days, OLD_ORIGINS)

    def _settled(self, horizon: str) -> str | None:
        """The horizon of `hold_seconds` ago, for all that was over then has its notes by now; None in the beginning."""
        now = time.monotonic()
        self._horizons.append((now, horizon))
        while len(self._horizons) > 1 and self._horizons[1][0] <= now - self._hold_seconds:
            self._horizons.popleft()
        seen_at, settled = self._horizons[0]
        return settled if seen_at <= now - self._hold_seconds else None

    async def _append(
        self, connection: Connection, logged: Sequence[asyncpg.Record], told: Sequence[asyncpg.Record]
    ) -> None:
        found: list[tuple[int, int, Happening]] = [
            (int(row["txid"]), 0, _of_event(row)) for row in logged if row["wanted"]
        ]
        found += [(int(row["txid"]), 1, _of_refusal(row)) for row in told if not row["told_by_event"]]
        found.sort(key=lambda each: each[:2])
        await writing.append(connection, [happening for _, _, happening in found])
        for row in logged:
            if row["type"] == UserDeleted.TYPE and (person := _body(row).get("user_id")) is not None:
                await _forget(connection, str(person), row)


async def _forget(connection: Connection, person: str, row: asyncpg.Record) -> None:
    """Deletes a person's origins, and tells so in every chain that had some: the chains stay whole and explained."""
    counts = await writing.forget_origins(connection, person)
    await writing.append(
        connection,
        [
            Happening(
                tenant_id=tenant_id,
                at=row["recorded_at"],
                action=ERASED,
                outcome="success",
                actor_kind="system",
                actor=RECORDER,
                subject=person,
                message_id=row["message_id"],
                correlation_id=row["correlation_id"],
                count=count,
            )
            for tenant_id, count in counts.items()
        ],
    )


def _common_end(logged: Sequence[asyncpg.Record], told: Sequence[asyncpg.Record], batch: int) -> int | None:
    """Where to stop, so that what is left of one kind comes before nothing of the other; None for all.

    A transaction with more rows than a batch is cut: its own rows keep their order.
    """
    ends = [int(rows[-1]["txid"]) for rows in (logged, told) if len(rows) == batch]
    return min(ends) if ends else None


def _of_event(row: asyncpg.Record) -> Happening:
    """The entry of an event. Of its body it takes ids and codes alone."""
    body = _body(row)
    kind = row["type"]
    actor = deciding.actor_of(row["actor"], kind, body)
    subject = deciding.identity(row["subject"])
    outcome = deciding.outcome_of(kind)
    session = row["session_id"] or body.get("by_session_id") or body.get("session_id")
    address = row["client_address"] or body.get("client_address")
    return Happening(
        tenant_id=row["tenant_id"],
        at=row["recorded_at"],
        action=deciding.action_of(kind),
        outcome=outcome,
        code=None if outcome == "success" else deciding.slug(body.get("reason")),
        actor_kind=row["actor_kind"] if row["actor_kind"] and row["actor"] else deciding.kind_of(actor),
        actor=actor,
        session_id=deciding.identity(session),
        subject=subject,
        message_id=row["message_id"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        trace_id=trace_id(row["traceparent"]),
        request_id=row["request_id"],
        origin=_origin(address, row["user_agent"], deciding.person_of(actor, subject)),
    )


def _of_refusal(row: asyncpg.Record) -> Happening:
    actor, subject = row["actor"], deciding.identity(row["subject"])
    kind = row["actor_kind"] or (row["noted_kind"] if actor else None) or deciding.kind_of(actor)
    address = row["client_address"] or row["noted_address"]
    return Happening(
        tenant_id=row["tenant_id"],
        at=row["at"],
        until=row["until"],
        action=deciding.action_of(row["action"]),
        outcome=row["outcome"],
        code=row["code"],
        permission=row["permission"],
        actor_kind=kind,
        actor=actor,
        session_id=row["session_id"] or row["noted_session"],
        subject=subject,
        message_id=row["message_id"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        trace_id=row["trace_id"],
        request_id=row["request_id"] or row["noted_request"],
        count=row["count"],
        origin=_origin(address, row["user_agent"] or row["noted_agent"], deciding.person_of(actor, subject)),
    )


def _origin(address: object, agent: str | None, person: str | None) -> Origin | None:
    found = address[:64] if isinstance(address, str) else None
    return None if found is None and agent is None else Origin(client_address=found, user_agent=agent, person=person)


def _body(row: asyncpg.Record) -> Mapping[str, Any]:
    with suppress(orjson.JSONDecodeError, TypeError):
        body = orjson.loads(row["data"])
        if isinstance(body, dict):
            return body
    return {}
