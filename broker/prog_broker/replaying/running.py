"""The runner: takes a replay of its group and runs it in batches, each one transaction with the cursor.

The row of the replay carries the runner's token, which every batch asks for when it moves the cursor: one of a runner
that was paused, replaced or told to stop cannot commit. A batch that fails is cut in halves until the failing message
stands alone; there the replay stops, or passes over it.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from prog_broker import sql
from prog_broker.decoding import Incoming, Rejected, decode, printable
from prog_broker.domain import Domain, Registration
from prog_broker.logged import envelope_of
from prog_broker.outcome import settle
from prog_broker.ports import Delivery, Shard
from prog_broker.replaying import holding, records
from prog_broker.replaying.records import Replay
from prog_broker.replaying.selection import Selection, modes_of
from prog_broker.transaction import Transaction
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Invalid, ProgError, Unavailable
from prog_contracts.topics import TOPICS
from prog_kit import logging
from prog_kit.database import OUTAGES, Connection, Database
from prog_kit.secrets import Sealer
from prog_kit.tasks import cancelled

log = logging.get("prog_broker.replaying")

BATCH: Final = 500
IDLE_SECONDS: Final = 1.0
TRIES: Final = 5
"""Of a batch that meets what passes by itself: a deadlock, or something that is unavailable."""

LONG_SECONDS: Final = 600.0
"""For statements that may read all of the log."""

TRANSIENT: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    Unavailable,
)

_TAKE: Final = """
UPDATE bus.replays
SET state = 'running', owner = $2, token = token + 1, expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE id = (
    SELECT id FROM bus.replays
    WHERE consumer_group = $1 AND state IN ('pending', 'running') AND (expires_at < clock_timestamp() OR owner = $2)
    LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, token
"""

_RENEW: Final = """
UPDATE bus.replays SET expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE id = $1 AND token = $2 AND state = 'running'
"""

_BEGIN: Final = """
UPDATE bus.replays
SET started_at = clock_timestamp(), total = $3, holds_live = rebuild,
    fence_txid = CASE WHEN rebuild THEN NULL ELSE pg_snapshot_xmin(pg_current_snapshot()) END
WHERE id = $1 AND token = $2 AND state = 'running'
"""

_MOVE: Final = """
UPDATE bus.replays
SET cursor_txid = $3::text::xid8, cursor_position = $4, done = done + $5, failed = failed + $6,
    suppressed = suppressed + $7, busy_seconds = busy_seconds + $8, total = greatest(total, done + $5),
    failure = coalesce($9::jsonb, failure),
    history = CASE WHEN $9::jsonb IS NULL OR jsonb_array_length(history) >= 200 THEN history
                   ELSE history || jsonb_build_array(
                        ($9::jsonb - 'traceback') || jsonb_build_object('what', 'passed_over', 'at', clock_timestamp()))
              END
WHERE id = $1 AND token = $2 AND state = 'running'
"""

_END: Final = """
UPDATE bus.replays
SET state = $3, holds_live = holds_live AND $3 = 'failed', ended_at = clock_timestamp(), expires_at = '-infinity',
    failure = coalesce($4::jsonb, failure), total = CASE WHEN $3 = 'done' THEN done ELSE total END,
    history = history || jsonb_build_object('what', $3::text, 'by', owner, 'at', clock_timestamp())
WHERE id = $1 AND token = $2 AND state = 'running'
"""

_GIVE_BACK: Final = "UPDATE bus.replays SET expires_at = '-infinity' WHERE id = $1 AND token = $2 AND state = 'running'"

_ROWS: Final = """
SELECT position, txid::text AS txid, message_id, topic, source_domain, source, type, schema_version, tenant_id,
       partition_key, subject, actor, correlation_id, causation_id, traceparent, occurred_at, data,
       recorded_at > clock_timestamp() - interval '30 days' AS deliverable
FROM bus.event_log AS e WHERE {} ORDER BY e.txid, e.position LIMIT {}
"""

# What live traffic may still deliver counts as handled from now on, as far back as the inbox remembers.
_HANDLED: Final = """
INSERT INTO bus.inbox (consumer_group, message_id, tenant_id)
SELECT $1, u.message_id, u.tenant_id FROM unnest($2::uuid[], $3::text[]) AS u (message_id, tenant_id)
ON CONFLICT DO NOTHING
"""

# A dead letter among it is settled with this: to redrive it changes nothing any more.
_SETTLED: Final = """
UPDATE bus.inbox SET status = 'succeeded', error = NULL
WHERE consumer_group = $1 AND message_id = ANY ($2::uuid[]) AND status IN ('dead', 'failed')
"""


class Lost(Exception):
    """The replay is another runner's by now, or is paused or over: nothing of this batch was committed."""


class Culprit(Exception):
    """A handler raised, or the message cannot be read. `row` is set when it is the only one of its batch."""

    def __init__(self, error: BaseException, row: Any) -> None:
        super().__init__(str(error))
        self.error = error
        self.row = row


@dataclass(slots=True)
class Batch:
    """What became of one. `full` says that there is more to come."""

    rows: int
    full: bool
    over: bool = False


class ReplayRunner:
    """Runs the replays of one domain in one worker; `run` is a task, `round` is one look, which tests call."""

    def __init__(
        self,
        domain: Domain,
        database: Database,
        sealer: Sealer,
        *,
        member: str,
        lease_seconds: float = 10.0,
        batch_size: int = BATCH,
    ) -> None:
        self._domain = domain
        self._database = database
        self._sealer = sealer
        self._member = member
        self._lease_seconds = lease_seconds
        self._batch_size = batch_size
        self._modes = modes_of(domain)
        self._stopping = asyncio.Event()
        self.idle_seconds = IDLE_SECONDS

    async def announce(self) -> None:
        """Writes down what this domain can replay, for those who ask for one."""
        async with self._database.pool.acquire() as connection, connection.transaction():
            await records.keep_modes(connection, self._domain.name, self._modes)

    async def run(self) -> None:
        """Runs until `stop`."""
        while not self._stopping.is_set():
            try:
                await self.round()
            except (OSError, *OUTAGES) as error:
                log.warning("replays wait, the database does not answer", error=str(error))
            try:
                await asyncio.wait_for(self._stopping.wait(), timeout=self.idle_seconds)
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Has it end when the batch at work is committed; another worker goes on."""
        self._stopping.set()

    async def round(self) -> bool:
        """Takes the group's replay, if there is one, and runs it until it is over, stopped or lost; tells whether."""
        taken = await self._database.pool.fetchrow(_TAKE, self._domain.name, self._member, self._lease_seconds)
        if taken is None:
            return False
        replay_id, token = taken["id"], taken["token"]
        log.info("replay taken", replay=str(replay_id), group=self._domain.name)
        renewing = asyncio.create_task(self._renew(replay_id, token))
        try:
            await self._work(replay_id, token)
        except Lost:
            log.info("replay left", replay=str(replay_id), group=self._domain.name)
        finally:
            await cancelled([renewing])
            if self._stopping.is_set():
                await self._database.pool.execute(_GIVE_BACK, replay_id, token)
        return True

    async def _renew(self, replay_id: UUID, token: int) -> None:
        """Keeps the lease while a long batch is at work."""
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            with suppress(OSError, *OUTAGES):
                await self._database.pool.execute(_RENEW, replay_id, token, self._lease_seconds)

    async def _work(self, replay_id: UUID, token: int) -> None:
        size, tries = self._batch_size, 0
        closing = False
        while not self._stopping.is_set():
            try:
                batch = await self._begin_or_batch(replay_id, token, size, closing=closing)
            except Culprit as culprit:
                if isinstance(culprit.error, TRANSIENT) and tries < TRIES:
                    tries += 1
                    await asyncio.sleep(0.1 * 2**tries)
                elif culprit.row is None:
                    size = max(1, size // 2)
                elif not await self._pass_over(replay_id, token, culprit):
                    return
                continue
            except Invalid as refused:
                await self._fail(replay_id, token, {"reason": refused.message, "code": refused.code})
                return
            except TRANSIENT as error:
                if (tries := tries + 1) > TRIES:
                    await self._fail(replay_id, token, {"reason": printable(f"{type(error).__name__}: {error}")})
                    return
                await asyncio.sleep(0.1 * 2**tries)
                continue
            except OUTAGES:
                raise
            except asyncpg.PostgresError as error:
                await self._fail(replay_id, token, {"reason": printable(f"{type(error).__name__}: {error}")})
                return
            if batch.over:
                return
            tries, size = 0, min(self._batch_size, size * 2)
            closing = not batch.full

    async def _begin_or_batch(self, replay_id: UUID, token: int, size: int, *, closing: bool) -> Batch:
        async with self._database.pool.acquire() as connection, connection.transaction():
            replay = await self._ours(connection, replay_id, token)
            selection = Selection(self._domain.name, replay.scope, self._modes, replay.rebuild)
            if replay.started_at is None:
                await self._begin(connection, replay, selection)
                return Batch(0, full=True)
            return await self._batch(connection, replay, selection, size, closing=closing)

    async def _begin(self, connection: Connection, replay: Replay, selection: Selection) -> None:
        """Counts what is to do and, for a rebuild, empties the projection while no live batch is at work."""
        selection.check()
        where = selection.where()
        where.add("txid < pg_snapshot_xmin(pg_current_snapshot())")
        total = await connection.fetchval(
            f"SELECT count(*) FROM bus.event_log WHERE {where}", *where.values, timeout=LONG_SECONDS
        )
        if replay.rebuild:
            if self._domain.reset is None:
                raise Invalid(f"{self._domain.name} has nothing that could be reset.", code="not_resettable")
            await holding.hold(connection, self._domain.name, replay.id)
            await connection.execute(sql.SET_TENANT, replay.scope.tenant_id or "")
            try:
                await self._domain.reset(connection, replay.scope)
            except (*OUTAGES, *TRANSIENT, Invalid):
                raise
            except Exception as error:
                told = printable(f"{type(error).__name__}: {error}")
                raise Invalid(f"the reset of {self._domain.name} failed: {told}", code="reset_failed") from error
        await _written(connection, _BEGIN, replay, total)

    async def _ours(self, connection: Connection, replay_id: UUID, token: int) -> Replay:
        """The replay, while it is this runner's and is to run. Raises Lost."""
        replay = await records.found(connection, replay_id)
        if replay.token != token or replay.state != "running":
            raise Lost
        return replay

    async def _batch(
        self, connection: Connection, replay: Replay, selection: Selection, size: int, *, closing: bool
    ) -> Batch:
        """The next messages, and at the end the last transaction: nothing is left, live traffic goes on from here."""
        started = time.perf_counter()
        if closing and replay.holds_live:
            await holding.hold(connection, self._domain.name, None)
        where = selection.where()
        where.add("txid < pg_snapshot_xmin(pg_current_snapshot())")
        where.add("(txid, position) > ({}::text::xid8, {}::bigint)", *replay.cursor)
        if replay.fence_txid is not None:
            where.add("txid < {}::text::xid8", replay.fence_txid)
        rows = await connection.fetch(_ROWS.format(where, where.value(size)), *where.values, timeout=LONG_SECONDS)
        full = len(rows) == size
        suppressed = await self._run(connection, rows)
        if rows:
            if replay.rebuild:
                await self._remember(connection, [row for row in rows if row["deliverable"]])
            last = rows[-1]
            await _written(
                connection, _MOVE, replay, last["txid"], last["position"], len(rows), 0, suppressed,
                time.perf_counter() - started, None,
            )  # fmt: skip
        if full or not closing:
            if closing and replay.holds_live:  # more has come than fits: live traffic goes on leaving it to the replay
                await holding.hold(connection, self._domain.name, replay.id)
            return Batch(len(rows), full=full)
        await _written(connection, _END, replay, "done", None)
        log.info("replay done", replay=str(replay.id), group=self._domain.name, messages=replay.done + len(rows))
        return Batch(len(rows), full=False, over=True)

    async def _remember(self, connection: Connection, rows: list[asyncpg.Record]) -> None:
        ids = [row["message_id"] for row in rows]
        await connection.execute(_HANDLED, self._domain.name, ids, [row["tenant_id"] for row in rows])
        await connection.execute(_SETTLED, self._domain.name, ids)

    async def _run(self, connection: Connection, rows: list[asyncpg.Record]) -> int:
        """Runs the handlers in the order of the log; returns how many messages and timers they wanted to send."""
        suppressed = 0
        items = [self._incoming(row, alone=len(rows) == 1) for row in rows]
        tenant: str | None = None
        for _, group in groupby(items, key=_batch_key):
            batch = list(group)
            envelope = batch[0].envelope
            if envelope.tenant_id != tenant:
                tenant = envelope.tenant_id
                await connection.execute(sql.SET_TENANT, tenant)
            tx = Transaction(connection, self._domain.name, envelope, envelope.time, self._sealer, replaying=True)
            try:
                reply = settle(await self._call(batch, tx))
            except OUTAGES:
                raise
            except Exception as error:  # whatever a handler raises is decided in the broker room
                raise Culprit(error, rows[0] if len(rows) == 1 else None) from error
            suppressed += len(tx.outgoing) + len(reply.messages) + len(tx.completed) + tx.suppressed
        return suppressed

    def _incoming(self, row: asyncpg.Record, *, alone: bool) -> Incoming:
        envelope = envelope_of(row)
        registration = self._domain.replay_only.get(envelope.type)
        if registration is None:
            shard = Shard(self._domain.name, TOPICS[row["topic"]], 0)
            item = decode(self._domain, shard, Delivery(b"", envelope.attributes(), envelope.data))
        else:
            item = _decoded(envelope, registration)
        if isinstance(item, Incoming):
            return item
        reason = item.reason if isinstance(item, Rejected) else "this group has no handler for it"
        raise Culprit(Invalid(reason, code=getattr(item, "code", "unknown_type")), row if alone else None)

    async def _call(self, batch: list[Incoming], tx: Transaction) -> Any:
        registration = batch[0].registration
        if registration is None:
            assert self._domain.catch_all is not None
            return await self._domain.catch_all([item.envelope for item in batch], tx)
        if registration.batch_handler is not None:
            return await registration.batch_handler([item.message for item in batch], tx)
        assert registration.handler is not None, "a performer is never replayed"
        return await registration.handler(batch[0].message, tx)

    async def _pass_over(self, replay_id: UUID, token: int, culprit: Culprit) -> bool:
        """Notes the message that fails and, if that is wished, goes on behind it; tells whether to go on."""
        row, error = culprit.row, culprit.error
        told = f"{error.code}: {error.message}" if isinstance(error, ProgError) else f"{type(error).__name__}: {error}"
        failure = {
            "message_id": str(row["message_id"]),
            "type": row["type"],
            "position": row["position"],
            "reason": printable(told[:2000]),
            "traceback": printable("".join(traceback.format_exception(error))[-8000:]),
        }
        async with self._database.pool.acquire() as connection, connection.transaction():
            replay = await self._ours(connection, replay_id, token)
            note = orjson.dumps(failure).decode()
            if not replay.skip_failing:
                await _written(connection, _END, replay, "failed", note)
                log.error("replay failed", replay=str(replay_id), message=failure["message_id"], reason=told[:500])
                return False
            await _written(connection, _MOVE, replay, row["txid"], row["position"], 1, 1, 0, 0.0, note)
        log.warning("a replay passes over a message", replay=str(replay_id), message=failure["message_id"])
        return True

    async def _fail(self, replay_id: UUID, token: int, failure: dict[str, Any]) -> None:
        async with self._database.pool.acquire() as connection, connection.transaction():
            replay = await self._ours(connection, replay_id, token)
            await _written(connection, _END, replay, "failed", orjson.dumps(failure).decode())
        log.error("replay failed", replay=str(replay_id), reason=failure["reason"])


async def _written(connection: Connection, statement: str, replay: Replay, *values: Any) -> None:
    """Writes to the replay's row. Raises Lost when it is another's by now, or is not to run any more."""
    if await connection.execute(statement, replay.id, replay.token, *values) == "UPDATE 0":
        raise Lost


def _batch_key(item: Incoming) -> Any:
    """Equal for neighbours that one call takes together; unique for all others."""
    if item.registration is None:
        return "catch_all"
    return item.registration.model if item.registration.batch_handler else item.envelope.id


def _decoded(envelope: Envelope, registration: Registration) -> Incoming | Rejected:
    """A message of the domain's own, which live traffic does not deliver to it."""
    from pydantic import ValidationError

    from prog_contracts.upcasting import UnknownVersion, UpcastFailed, readable

    delivery = Delivery(b"", b"", envelope.data)
    try:
        body = readable(envelope.data, envelope.schema_version, registration.model)
        message = registration.model.model_validate_json(body)
    except (UnknownVersion, UpcastFailed, ValidationError) as error:
        return Rejected(delivery, "invalid_body", str(error), envelope)
    return Incoming(delivery, envelope, message, registration)
