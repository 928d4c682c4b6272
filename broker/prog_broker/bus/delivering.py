"""From a batch of bytes to settled messages: handled, skipped, dropped, tried again, or dead; for every broker alike.

One concern of speed shapes it: of a batch that goes well, nothing is done a message but reading its type, validating
its body and calling its handler. Envelopes are parsed when a handler or the inbox wants them; metrics are counted once
for a run of messages of one type.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import msgspec
from pydantic import ValidationError

from prog_broker.bus.inbox import Fenced, InboxAway, PostgresInbox
from prog_broker.bus.subscriptions import Context, Drop, Plan, Retry, Route
from prog_broker.redis.connection import reconnect_delay_seconds
from prog_broker.settlement import RetryPolicy
from prog_contracts import upcasting
from prog_contracts.envelope import MAX_BODY_BYTES, Envelope, is_json
from prog_contracts.errors import ProgError
from prog_kit import logging
from prog_kit.database import Connection
from prog_kit.telemetry import BATCH_SIZE, HANDLER_SECONDS, MESSAGES, RETRIES

log = logging.get("prog_broker.bus")

Entry = tuple[Any, bytes, bytes]
"""A message as a broker handed it over: its place in the shard, its attributes as JSON, its body."""

_UNSEEN: Final = object()
_MAX_REASON: Final = 2_000
_MAX_TRACE: Final = 20_000


class _Head(msgspec.Struct):
    """What decides who handles a message; the other attributes are read when somebody wants them."""

    specversion: str
    type: str
    schemaversion: int = 1
    datacontenttype: str = "application/json"


_read_head = msgspec.json.Decoder(_Head, strict=False).decode


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why a message was given up; travels with it on the group's own dead topic."""

    code: str
    reason: str
    attempts: int = 0
    traceback: str | None = None


class Source(Protocol):
    """Where a batch comes from: one shard, as long as it is ours."""

    topic: str
    partition: int

    @property
    def fence(self) -> int: ...

    def holding(self) -> bool:
        """Whether to go on: the shard is still ours and nobody told the program to stop."""
        ...

    def lose(self) -> None:
        """Somebody else owns the shard, as the inbox has found."""
        ...

    async def rest(self, seconds: float) -> None:
        """Waits, but not longer than `holding` holds."""
        ...

    async def keep(self, settled: int) -> None:
        """Keeps the position after the first `settled` messages of the batch, because what follows may take long."""
        ...

    async def bury(self, entry: Entry, letter: DeadLetter) -> bool:
        """Puts a message on the group's dead topic; waits for the broker. False when it is not to go on before."""
        ...


@dataclass(slots=True)
class _Run:
    """Neighbours in a batch that one route takes, or one message that no route can take (`letter` is set).

    `envelopes` is as long as the others when somebody wants them, else empty.
    """

    route: Route | None
    entries: list[Entry] = field(default_factory=list)
    messages: list[Any] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    letter: DeadLetter | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def part(self, start: int, end: int | None = None) -> _Run:
        return _Run(self.route, self.entries[start:end], self.messages[start:end], self.envelopes[start:end])


@dataclass(slots=True)
class _Progress:
    """How many messages of a batch, from its beginning, are settled."""

    settled: int = 0


class Deliverer:
    """Runs the handlers of one group. Safe for shards in parallel."""

    def __init__(self, plan: Plan, policy: RetryPolicy, inbox: PostgresInbox | None) -> None:
        self._plan = plan
        self._policy = policy
        self._inbox = inbox

    async def deliver(self, source: Source, batch: Sequence[Entry]) -> int:
        """Settles a batch in order; returns how many of its messages, from the beginning, are settled.

        They are fewer than the batch when the shard was lost, or the program told to stop, in the middle of it.
        """
        BATCH_SIZE.observe(len(batch))
        progress = _Progress()
        expected = 0
        for run in self._runs(source.topic, batch):
            if progress.settled < expected or not source.holding():
                break
            expected += len(run)
            if run.letter is not None:
                progress.settled += await self._bury(source, run.entries[0], run.letter)
            elif run.route is None:
                progress.settled += len(run)
            elif self._inbox is None:
                await self._run(source, run, progress)
            else:
                await self._run_once(source, self._inbox, run, progress)
        return progress.settled

    def _runs(self, topic: str, batch: Sequence[Entry]) -> list[_Run]:
        """The batch, validated and cut where the route changes."""
        known = self._plan.resolved(topic)
        runs: list[_Run] = []
        run = _Run(None)
        current: Any = _UNSEEN
        for entry in batch:
            try:
                head = _read_head(entry[1])
                route: Any = known.get(head.type, _UNSEEN)
                if route is _UNSEEN:
                    route = self._plan.resolve(topic, head.type)
                message = envelope = None
                if route is not None:
                    if self._inbox is not None or route.wants_envelopes:
                        envelope = Envelope.parse(entry[1], entry[2])
                    message = envelope if route.model is None else _body(route, head, entry[2])
            except (msgspec.MsgspecError, ValueError) as error:
                runs.append(_Run(None, [entry], letter=_refusal(error)))
                current = _UNSEEN
                continue
            if route is not current:
                current, run = route, _Run(route)
                runs.append(run)
            run.entries.append(entry)
            run.messages.append(message)
            if envelope is not None:
                run.envelopes.append(envelope)
        return runs

    async def _run(self, source: Source, run: _Run, progress: _Progress) -> None:
        """Without an inbox: at least once. A batch that fails is run one by one; one message costs only itself."""
        route = run.route
        assert route is not None
        started = time.perf_counter()
        if route.batch:
            try:
                await self._call(source, route, run)
            except Exception as error:  # noqa: BLE001 - whatever a handler raises is decided here
                await self._again(source, run, progress, error if len(run) == 1 else None)
                return
            progress.settled += len(run)
            _count(source.topic, route, len(run), started)
            return
        if route.wants_context:
            await self._again(source, run, progress, None)
            return
        handled = 0
        call = route.call
        failure: Exception | None = None
        for message in run.messages:
            if not source.holding():
                break
            try:
                await call(message)
            except Exception as error:  # noqa: BLE001 - as above
                failure = error
                break
            handled += 1
        progress.settled += handled
        _count(source.topic, route, handled, started)
        if failure is not None:
            await self._again(source, run.part(handled), progress, failure)

    async def _run_once(self, source: Source, inbox: PostgresInbox, run: _Run, progress: _Progress) -> None:
        """With an inbox: one transaction for the run; when a handler raises, one a message."""
        try:
            await self._in_transaction(source, inbox, run, attempt=1)
        except Fenced:
            source.lose()
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is decided here
            await self._again(source, run, progress, error if len(run) == 1 else None)
        else:
            progress.settled += len(run)

    async def _again(self, source: Source, run: _Run, progress: _Progress, error: BaseException | None) -> None:
        """One by one, each until it is settled. `error` is what the first one's first try has raised, if it had one."""
        for number in range(len(run)):
            if not source.holding() or not await self._settle(source, run.part(number, number + 1), progress, error):
                return
            error = None
            progress.settled += 1

    async def _settle(self, source: Source, one: _Run, progress: _Progress, error: BaseException | None) -> bool:
        """Tries one message until it is handled, dropped or dead; False when the shard or the program is to end."""
        attempt, outages = 1, 0
        while True:
            if error is None:
                try:
                    await self._try(source, one, attempt)
                    return True
                except Exception as raised:  # noqa: BLE001 - whatever a handler raises is decided here
                    error = raised
            if isinstance(error, Fenced):
                source.lose()
                return False
            if isinstance(error, Drop):
                MESSAGES.labels(source.topic, "dropped").inc()
                return True
            if isinstance(error, InboxAway):
                outages += 1
                delay = reconnect_delay_seconds(outages)
            elif attempt >= self._policy.attempts:
                return await self._bury(source, one.entries[0], _failure(error, attempt))
            else:
                wanted = error.seconds if isinstance(error, Retry) else None
                delay = self._policy.delay_seconds(attempt) if wanted is None else wanted
                attempt += 1
                RETRIES.labels(source.topic).inc()
                log.warning("trying again", group=self._plan.group, topic=source.topic, attempt=attempt,
                            error=f"{type(error).__name__}: {error}"[:500])  # fmt: skip
            error = None
            await source.keep(progress.settled)
            await source.rest(delay)
            if not source.holding():
                return False

    async def _try(self, source: Source, one: _Run, attempt: int) -> None:
        assert one.route is not None
        if self._inbox is not None:
            await self._in_transaction(source, self._inbox, one, attempt)
            return
        started = time.perf_counter()
        await self._call(source, one.route, one, attempt)
        _count(source.topic, one.route, 1, started)

    async def _in_transaction(self, source: Source, inbox: PostgresInbox, run: _Run, attempt: int) -> None:
        route = run.route
        assert route is not None
        shard = f"{source.topic}.{source.partition}"
        started = time.perf_counter()
        ids = [envelope.id for envelope in run.envelopes]
        async with inbox.admitted(self._plan.group, shard, source.fence, ids) as (transaction, fresh):
            new = _Run(route)
            for entry, message, envelope in zip(run.entries, run.messages, run.envelopes, strict=True):
                if envelope.id in fresh:
                    fresh.remove(envelope.id)
                    new.entries.append(entry)
                    new.messages.append(message)
                    new.envelopes.append(envelope)
            if route.batch and new.messages:
                await self._call(source, route, new, attempt, transaction)
            elif not route.batch:
                for number in range(len(new)):
                    await self._call(source, route, new.part(number, number + 1), attempt, transaction)
        if len(new) < len(run):
            MESSAGES.labels(source.topic, "duplicate").inc(len(run) - len(new))
        _count(source.topic, route, len(new), started)

    async def _call(
        self, source: Source, route: Route, run: _Run, attempt: int = 1, transaction: Connection | None = None
    ) -> None:
        what = run.messages if route.batch else run.messages[0]
        if not route.wants_context:
            await route.call(what)
            return
        group, partition, envelopes = self._plan.group, source.partition, run.envelopes
        await route.call(what, Context(group, source.topic, partition, source.fence, attempt, envelopes, transaction))

    async def _bury(self, source: Source, entry: Entry, letter: DeadLetter) -> bool:
        log.error("dead letter", group=self._plan.group, topic=source.topic, code=letter.code, reason=letter.reason)
        MESSAGES.labels(source.topic, "dead").inc()
        return await source.bury(entry, letter)


class _TooLarge(ValueError):
    pass


def _body(route: Route, head: _Head, data: bytes) -> Any:
    """The message in a body. Raises ValueError for what this program cannot read."""
    if head.specversion != "1.0" or not is_json(head.datacontenttype):
        raise ValueError(f"this is CloudEvents {head.specversion!r} with {head.datacontenttype!r}, not 1.0 with JSON")
    if len(data) > MAX_BODY_BYTES:
        raise _TooLarge(f"the body has {len(data)} bytes, the limit is {MAX_BODY_BYTES}")
    assert route.model is not None
    assert route.validate is not None
    if head.schemaversion != route.model.VERSION:
        data = upcasting.readable(data, head.schemaversion, route.model)
    return route.validate(data)


def _refusal(error: Exception) -> DeadLetter:
    if isinstance(error, ValidationError):
        items = error.errors(include_input=False, include_url=False)[:5]
        told = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'body'}: {item['msg']}" for item in items)
        return DeadLetter("invalid_body", f"the body breaks its schema: {told}"[:_MAX_REASON])
    if isinstance(error, upcasting.UnknownVersion):
        return DeadLetter("unknown_version", str(error)[:_MAX_REASON])
    if isinstance(error, upcasting.UpcastFailed | _TooLarge):
        return DeadLetter("invalid_body", str(error)[:_MAX_REASON])
    return DeadLetter("undecodable", f"the message cannot be read: {error}"[:_MAX_REASON])


def _failure(error: BaseException, attempts: int) -> DeadLetter:
    trace = "".join(traceback.format_exception(error))[-_MAX_TRACE:]
    reason = f"{type(error).__name__}: {error}"[:_MAX_REASON]
    if isinstance(error, ProgError):
        return DeadLetter(error.code, reason, attempts, trace)
    return DeadLetter("gave_up" if isinstance(error, Retry) else "unexpected_exception", reason, attempts, trace)


def _count(topic: str, route: Route, handled: int, started: float) -> None:
    if handled:
        MESSAGES.labels(topic, "succeeded").inc(handled)
        kind = "envelopes" if route.model is None else route.model.TYPE
        HANDLER_SECONDS.labels(kind).observe((time.perf_counter() - started) / handled)


async def wait_any(event: asyncio.Event, seconds: float) -> None:
    """Waits for the event, but not longer than `seconds`."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
