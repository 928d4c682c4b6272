"""The way of a batch: decode, one transaction around inbox, handlers and event log, commit; then tell the broker.

For every shard that a worker owns, `Processor.process` takes what the broker delivered and returns when all of it is
settled: handled, refused, put off, lined up behind a failed key, or a dead letter. It is the only place that decides
this, for both brokers and for live, reclaimed and retried messages alike.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import asyncpg

from prog_broker import carrier, replaying, settlement, sql
from prog_broker.breaker import Breakers
from prog_broker.calling import Unparked, batch_key, call, performs
from prog_broker.carrier import Fenced, sort
from prog_broker.counting import count_duplicates, count_handled
from prog_broker.decoding import Decoded, Incoming, Rejected, decode_batch
from prog_broker.domain import Domain
from prog_broker.outcome import Reply, settle
from prog_broker.ports import AddressedReply, Delivery, Shard
from prog_broker.replies import Status, StoredAnswer
from prog_broker.reporting import NoReport, Report, ReportedOutcome
from prog_broker.settled import Settled, addressed, refusal
from prog_broker.settlement import Failure, RetryPolicy
from prog_broker.side_by_side import side_by_side
from prog_broker.tracing import AtWork
from prog_broker.transaction import Transaction
from prog_contracts.envelope import Envelope
from prog_contracts.errors import ProgError, Unavailable
from prog_contracts.ids import new_message_id
from prog_kit.ahead import BegunAhead
from prog_kit.clock import Clock, SystemClock
from prog_kit.database import OUTAGES, Begun, Connection, Database
from prog_kit.secrets import Sealer
from prog_kit.telemetry import BATCH_SIZE, MESSAGES, RETRIES

TRANSIENT: Final = (
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    TimeoutError,  # a statement without an answer, as behind a lock that a migration holds
)
"""Errors of the database that say nothing against the message: it is retried."""

MAX_WITH_COMMIT_BYTES: Final = 64 * 1024
"""What a batch leaves behind goes with the COMMIT up to this size; as text it is twice as long."""


class RolledBack(Exception):
    """A handler raised inside a batch; the messages are to run one by one."""


class Processor:
    """Handles batches of one domain. One a process and domain; safe for shards in parallel."""

    def __init__(
        self,
        domain: Domain,
        database: Database,
        sealer: Sealer,
        *,
        policy: RetryPolicy | None = None,
        clock: Clock | None = None,
        report: Report | None = None,
        breakers: Breakers | None = None,
    ) -> None:
        self.domain = domain
        self.database = database
        self.sealer = sealer
        self.policy = policy or RetryPolicy()
        self.clock = clock or SystemClock()
        self.report = report or NoReport()
        self.breakers = breakers or Breakers(domain.name)
        self.ahead: BegunAhead | None = None

    async def process(
        self,
        shard: Shard,
        token: int,
        deliveries: list[Delivery],
        *,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> Settled:
        """`settle_batch` of what a broker delivered."""
        return await self.settle_batch(shard, token, decode_batch(self.domain, shard, deliveries), may_go_on=may_go_on)

    async def settle_batch(
        self,
        shard: Shard,
        token: int,
        decoded: Decoded,
        *,
        may_go_on: Callable[[], bool] = lambda: True,
    ) -> Settled:
        """Settles every message of a batch, but for those that are `left`: outside calls not yet begun when `may_go_on`
        says no more, and what comes after most messages have failed.

        Raises Fenced when the lease with this `token` is no longer ours, and asyncpg or OS errors when the database
        does not answer; in both cases nothing may be acknowledged.
        """
        if decoded.incoming:
            BATCH_SIZE.observe(len(decoded.incoming))
        settled = Settled(receipts=[delivery.receipt for delivery in decoded.skipped])
        await self._reject(shard, token, decoded, settled)
        for outside, group in groupby(decoded.incoming, key=performs):
            items = list(group)
            if settled.left:
                settled.left += items
            elif outside:
                settled.add(await self._settle_outside(shard, token, items, may_go_on))
            elif len(items) == 1:
                await self._settle_each(shard, token, items, settled)
            else:
                try:
                    settled.add(await self._together(shard, token, items))
                except RolledBack:
                    await self._settle_each(shard, token, items, settled)
        return settled

    async def _settle_each(self, shard: Shard, token: int, items: list[Incoming], settled: Settled) -> None:
        """One by one. What comes after a failure storm has tripped the breaker is left."""
        for place, item in enumerate(items):
            if not self._admits(shard, place):
                settled.left += items[place:]
                return
            settled.add(await self.settle_one(shard, token, item))

    async def _settle_outside(
        self, shard: Shard, token: int, items: list[Incoming], may_go_on: Callable[[], bool]
    ) -> Settled:
        """Those of different keys side by side. What comes after a failure storm or a wish to stop is left."""

        def may_begin(place: int) -> bool:
            return self._admits(shard, place) and may_go_on()

        return await side_by_side(items, partial(self.settle_one, shard, token), may_begin)

    def _admits(self, shard: Shard, place: int) -> bool:
        """Whether the breaker lets the message at this place of a batch be begun.

        A pause may be over by the time its message has failed: what comes behind that waits for the probe too.
        """
        state = self.breakers.of(shard.topic.name).state
        return state == "closed" or (state == "half_open" and place == 0)

    async def settle_one(self, shard: Shard, token: int, item: Incoming, *, retrying: bool = False) -> Settled:
        """Settles one message, whatever happens to it. `retrying` says that it is itself what parks its key."""
        if performs(item):
            return await self._perform(shard, token, item, retrying=retrying)
        try:
            return await self._together(shard, token, [item], retrying=retrying)
        except RolledBack as rolled_back:
            return await self._fail(shard, token, item, rolled_back.__cause__ or rolled_back, retrying=retrying)

    async def settle_line(self, shard: Shard, token: int, items: list[Incoming]) -> Settled | None:
        """Settles messages of one key that waited, in one transaction; None, and nothing done, when that cannot be.

        None of them makes an outside call.
        """
        try:
            return await self._together(shard, token, items, retrying=True)
        except RolledBack:
            return None

    async def _fail(self, shard: Shard, token: int, item: Incoming, error: BaseException, *, retrying: bool) -> Settled:
        """Settles a message whose handler raised, in any case: what cannot be stored becomes a letter of bytes."""
        try:
            return await self._settle_failure(shard, token, item, error, retrying=retrying)
        except OUTAGES:
            raise
        except asyncpg.PostgresError as refused:
            return await self._bury_raw(shard, token, item.delivery, item.envelope.id, refused)

    async def _bury_raw(
        self, shard: Shard, token: int, delivery: Delivery, message_id: UUID, refused: asyncpg.PostgresError
    ) -> Settled:
        async with carrier.fenced(self.database, shard, token) as connection:
            await settlement.bury_raw(connection, shard, delivery, message_id, f"{type(refused).__name__}: {refused}")
        MESSAGES.labels(shard.topic.name, "dead").inc()
        return Settled([delivery.receipt], buried=[delivery])

    async def give_up(self, shard: Shard, token: int, message_id: UUID, item: Rejected | None) -> Settled:
        """Takes out of the retry table what this code cannot decode any more; a dead letter if it is refused."""
        async with carrier.fenced(self.database, shard, token) as connection:
            await connection.execute(sql.CLEAR_RETRY, shard.group, message_id)
            if item is not None:
                await settlement.bury_rejected(connection, shard, item)
        return Settled(answers=[] if item is None else refusal(item))

    async def _together(self, shard: Shard, token: int, items: list[Incoming], *, retrying: bool = False) -> Settled:
        """One transaction for all of `items`. Raises RolledBack, with the cause, when it cannot be committed."""
        try:
            return await self._commit_together(shard, token, items, retrying=retrying)
        except OUTAGES:
            raise
        except asyncpg.PostgresError as error:
            raise RolledBack from error

    async def _commit_together(self, shard: Shard, token: int, items: list[Incoming], *, retrying: bool) -> Settled:
        settled = Settled(receipts=[item.delivery.receipt for item in items])
        async with self._begun() as begun:
            connection = begun.connection
            admission = await carrier.admit(connection, shard, token, items, retrying=retrying)
            fresh, waiting, known = sort(items, admission)
            if admission.replay_id is not None:
                fresh = await replaying.without_left_to_replay(connection, self.domain, admission.replay_id, fresh)
            if waiting:
                copies = await carrier.handled_before(connection, shard.group, waiting)
                known += [item for item in waiting if item.envelope.id in copies]
                await settlement.wait_behind(connection, shard, [i for i in waiting if i.envelope.id not in copies])
            answers, outgoing, completed, appended = await self._run(connection, fresh, admission.clocks)
            if retrying:
                await connection.execute(sql.CLEAR_LINE, shard.group, [item.envelope.id for item in items])
            kept = carrier.worth_keeping(shard, answers)
            if kept or outgoing or completed:
                document = carrier.finishing(self.domain.name, kept, outgoing, completed)
                await _finish(begun, document, at_once=bool(known))
            stored = await carrier.stored_answers(connection, self.domain.name, known)
        settled.appended = appended or bool(outgoing)
        settled.answers = addressed(fresh, answers) + addressed(known, stored)
        count_duplicates(shard, known)
        self._count(shard, fresh, answers)
        return settled

    async def _run(
        self, connection: Connection, items: list[Incoming], clocks: dict[str, datetime]
    ) -> tuple[list[tuple[StoredAnswer, int]], list[Envelope], list[StoredAnswer], bool]:
        """Calls the handlers in order; consecutive messages of a batch handler's type go to it together."""
        answers: list[tuple[StoredAnswer, int]] = []
        outgoing: list[Envelope] = []
        completed: list[StoredAnswer] = []
        appended = False
        tenant = items[0].envelope.tenant_id if items else ""
        for _, group in groupby(items, key=batch_key):
            batch = list(group)
            envelope = batch[0].envelope
            if envelope.tenant_id != tenant:
                tenant = envelope.tenant_id
                await connection.execute(sql.SET_TENANT, tenant)
            tx = self._transaction(connection, envelope, clocks)
            started = time.perf_counter_ns()
            try:
                reply = settle(await call(self.domain, batch, tx))
                microseconds = (time.perf_counter_ns() - started) // 1000
                outgoing += _outgoing(tx, reply)
                completed += self._completed(tx)
                each = microseconds // len(batch)
                answer = StoredAnswer.of_reply(envelope.id, reply, self.sealer)
                answers.append((answer, each))
                answers += [(answer.for_message(item.envelope.id), each) for item in batch[1:]]
            except OUTAGES:
                raise
            except Exception as error:  # the broker room is where any exception of a handler is decided
                raise RolledBack from error
            appended = appended or tx.appended
        return answers, outgoing, completed, appended

    def _begun(self) -> AbstractAsyncContextManager[Begun]:
        return self.ahead.transaction() if self.ahead is not None else self.database.begin()

    def _transaction(self, connection: Connection, envelope: Envelope, clocks: dict[str, datetime]) -> Transaction:
        now = clocks.get(envelope.tenant_id) or self.clock.now()
        return Transaction(connection, self.domain.name, envelope, now, self.sealer)

    async def _settle_failure(
        self, shard: Shard, token: int, item: Incoming, error: BaseException, *, retrying: bool
    ) -> Settled:
        """The answer, a retry, or a dead letter."""
        failure = Failure.of(error)
        settled = Settled(receipts=[item.delivery.receipt])
        refused = isinstance(error, ProgError) and not isinstance(error, Unavailable) and shard.topic.kind == "commands"
        again = isinstance(error, (Unavailable, *TRANSIENT)) and item.attempts + 1 < self.policy.attempts
        async with carrier.fenced(self.database, shard, token) as connection:
            if refused:
                await settlement.mark_inbox(connection, shard.group, item.envelope, "failed", failure.error)
                if retrying:
                    await connection.execute(sql.CLEAR_RETRY, shard.group, item.envelope.id)
            elif again:
                settled.retry_in_seconds = await settlement.put_off(connection, shard, item, failure, self.policy)
            else:
                await settlement.bury(connection, shard, item, failure)
                settled.buried.append(item.delivery)
        outcome: ReportedOutcome = "refused" if refused else "retried" if again else "dead"
        breaker = self.breakers.of(shard.topic.name)
        if refused:
            breaker.succeeded()
        else:
            breaker.failed(first_try=item.attempts == 0)
        MESSAGES.labels(shard.topic.name, outcome).inc()
        self.report.add(self.domain.name, [item.envelope], outcome, 0)
        if again:
            RETRIES.labels(shard.topic.name).inc()
        elif item.envelope.reply_to:
            status: Status = "failed" if refused else "dead"
            answer = StoredAnswer.of_error(item.envelope.id, failure.error, status)
            settled.answers.append(AddressedReply(item.envelope.reply_to, answer.encode()))
        return settled

    async def _reject(self, shard: Shard, token: int, decoded: Decoded, settled: Settled) -> None:
        for item in decoded.rejected:
            try:
                async with carrier.fenced(self.database, shard, token) as connection:
                    await settlement.bury_rejected(connection, shard, item)
            except OUTAGES:
                raise
            except asyncpg.PostgresError as refused:
                settled.add(await self._bury_raw(shard, token, item.delivery, new_message_id(), refused))
                continue
            settled.receipts.append(item.delivery.receipt)
            settled.buried.append(item.delivery)
            settled.answers += refusal(item)
            MESSAGES.labels(shard.topic.name, "dead").inc()

    async def _perform(self, shard: Shard, token: int, item: Incoming, *, retrying: bool = False) -> Settled:
        """An outside call: looked up first, called outside of any transaction, recorded with the inbox row."""
        registration = item.registration
        assert registration is not None
        assert registration.performer is not None
        row = await self.database.pool.fetchrow(
            sql.LOOK, shard.group, shard.topic.name, shard.partition, token, retrying,
            item.envelope.partition_key, item.envelope.id,
        )  # fmt: skip
        assert row is not None
        if not row["leased"]:
            raise Fenced(shard.name)
        if row["handled"] or row["parked"]:
            try:
                return await self._together(shard, token, [item], retrying=retrying)
            except RolledBack as rolled_back:
                if isinstance(rolled_back.__cause__, Unparked):
                    return await self._perform(shard, token, item, retrying=retrying)
                return await self._fail(shard, token, item, rolled_back.__cause__ or rolled_back, retrying=retrying)
        started = time.perf_counter_ns()
        try:
            with AtWork(item.envelope):
                finish = await registration.performer(item.message, _Work(self, item))
            microseconds = (time.perf_counter_ns() - started) // 1000
            return await self._record(shard, token, item, finish, microseconds, retrying=retrying)
        except (Fenced, *OUTAGES):
            raise
        except OSError as error:
            unavailable = Unavailable(f"{type(error).__name__}: {error}", code="provider_unreachable")
            return await self._fail(shard, token, item, unavailable, retrying=retrying)
        except Exception as error:  # noqa: BLE001 - whatever a provider's library raises becomes a retry or a dead letter
            return await self._fail(shard, token, item, error, retrying=retrying)

    async def _record(
        self, shard: Shard, token: int, item: Incoming, finish: Any, microseconds: int, *, retrying: bool
    ) -> Settled:
        async with self._begun() as begun:
            connection = begun.connection
            admission = await carrier.admit(connection, shard, token, [item], retrying=retrying)
            tx = self._transaction(connection, item.envelope, admission.clocks)
            if item.envelope.id not in admission.admitted:
                # Another delivery of the same message was recorded while this call was under way.
                raise Unavailable("the message was handled meanwhile", code="handled_meanwhile")
            reply = settle(await finish(tx))
            outgoing = _outgoing(tx, reply)
            answers = [(StoredAnswer.of_reply(item.envelope.id, reply, self.sealer), microseconds)]
            if retrying:
                await connection.execute(sql.CLEAR_RETRY, shard.group, item.envelope.id)
            await _finish(begun, carrier.finishing(self.domain.name, answers, outgoing, self._completed(tx)))
        self._count(shard, [item], answers)
        return Settled([item.delivery.receipt], addressed([item], answers), appended=bool(outgoing))

    def _completed(self, tx: Transaction) -> list[StoredAnswer]:
        return [StoredAnswer.of_reply(message_id, Reply(result), self.sealer) for message_id, result in tx.completed]

    def _count(self, shard: Shard, items: list[Incoming], answers: list[tuple[StoredAnswer, int]]) -> None:
        if items:
            self.breakers.of(shard.topic.name).succeeded(len(items))
            # Once the answers are on their way: whoever waits for one need not wait for this.
            asyncio.get_running_loop().call_soon(count_handled, shard, self.report, items, answers)


@dataclass(slots=True)
class _Work:
    """What a performer is given; see `prog_broker.domain.Work`."""

    processor: Processor
    item: Incoming
    replaying: bool = False

    @property
    def attempt(self) -> int:
        return self.item.attempts + 1

    @property
    def sealer(self) -> Sealer:
        return self.processor.sealer

    @asynccontextmanager
    async def look(self) -> AsyncIterator[Connection]:
        async with self.processor.database.pool.acquire() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        envelope = self.item.envelope
        async with self.processor.database.scope(tenant_id=envelope.tenant_id) as connection:
            stands_at = await connection.fetchval(sql.CLOCK, envelope.tenant_id)
            clocks = {} if stands_at is None else {envelope.tenant_id: stands_at}
            yield self.processor._transaction(connection, envelope, clocks)


async def _finish(begun: Begun, document: bytes, *, at_once: bool = False) -> None:
    """Leaves behind what a batch does, with the COMMIT unless it is large or wanted `at_once`."""
    if at_once or len(document) > MAX_WITH_COMMIT_BYTES:
        await begun.connection.execute(sql.FINISH, document)
    else:
        begun.commit_with(sql.finish(document))


def _outgoing(tx: Transaction, reply: Reply) -> list[Envelope]:
    return [*tx.outgoing, *(tx.wrap(message) for message in reply.messages)]
