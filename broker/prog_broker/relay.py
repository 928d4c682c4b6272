"""The relay: publishes what is committed in the event log, in commit order, at least once.

It reads rows whose transaction is below the oldest running one (`pg_snapshot_xmin`), so a transaction that commits late
with a lower position is never skipped, publishes them in pipelined batches and moves its cursor. One relay is active a
lane, by advisory lock; a second one waits to take over. A note beside the streams says what was published last: when
it is behind the database's, the broker has lost data and the gap is published again. The inbox makes it once. A batch
goes out only while the note is the one that was seen, so nothing new comes before what a broker has just lost.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Final

import asyncpg

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole before the first message
from prog_broker import sql
from prog_broker.logged import envelope_of
from prog_broker.ports import Outages, Transport
from prog_broker.progress import NOWHERE, Cursor, Note
from prog_broker.redis.connection import OUTAGES, Client, connect, reconnect_delay_seconds
from prog_broker.redis.streams import EVENTS_WAIT, WAKE_CHANNEL
from prog_broker.transport import open_transport
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Unavailable
from prog_contracts.topics import TOPICS, Topic
from prog_kit import logging, probes
from prog_kit.database import FAILURES, Database
from prog_kit.settings import Settings
from prog_kit.tasks import cancelled
from prog_kit.telemetry import OUTBOX_OLDEST_SECONDS, OUTBOX_PENDING

log = logging.get("prog_broker.relay")

LANE: Final = 0
ADVISORY_LOCK: Final = 0x50524F47  # "PROG"
BATCH: Final = 500
IDLE_SECONDS: Final = 0.25
GATHER_SECONDS: Final = 0.004
"""After a wake-up, so that neighbouring commits go out as one batch and whoever waits for a reply gets it first."""
TRIM_SECONDS: Final = 60.0
GAUGE_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 20.0
"""A statement that takes longer counts as lost."""
SILENT_SECONDS: Final = 8
"""A relay that says nothing for so long loses its turn."""
TURN_SECONDS: Final = 0.5
"""How often those that stand by try to get it."""
PUBLISHED_CHANNEL: Final = "prog.relay.published"
RETENTION_HOURS: Final = max(topic.retention_hours for topic in TOPICS.values() if topic.kind == "events")

PENDING: Final = """
SELECT position, txid::text AS txid, message_id, topic, source_domain, source, type, schema_version, tenant_id,
       partition_key, subject, actor, correlation_id, causation_id, traceparent, occurred_at, data
FROM bus.event_log AS e
WHERE e.txid < pg_snapshot_xmin(pg_current_snapshot()) AND (e.txid, e.position) > ($1::text::xid8, $2::bigint)
ORDER BY e.txid, e.position
LIMIT $3
"""

REFILL_FROM: Final = """
SELECT txid::text AS txid, position FROM bus.event_log AS e
WHERE recorded_at < statement_timestamp() - make_interval(hours => $1)
  AND recorded_at >= statement_timestamp() - make_interval(hours => $2)
ORDER BY e.txid DESC, e.position DESC LIMIT 1
"""
REFILL_LOOKS_BACK_HOURS: Final = (1, 24, 24 * 31, 24 * 366 * 20)
"""How far before the retention's beginning the last row is looked for, one after the other: the log is indexed by time
in blocks, and a look at an hour of it costs little, however long the log is."""

MAX_COUNTED: Final = 100_000
"""More that wait are told as this many: after a long absence of the broker each count would read all of them."""

BACKLOG: Final = """
SELECT count(*) AS pending, coalesce(extract(epoch FROM clock_timestamp() - min(recorded_at)), 0)::float8 AS oldest
FROM (
    SELECT e.recorded_at FROM bus.event_log AS e WHERE (e.txid, e.position) > ($1::text::xid8, $2::bigint)
    ORDER BY e.txid, e.position LIMIT {most:d}
) AS waiting
"""


async def wake(client: Client) -> None:
    """Tells the relay that something was committed. A lost wake-up costs a quarter of a second."""
    with suppress(*OUTAGES):
        await client.publish(WAKE_CHANNEL, b"1")


class Relay:
    """One lane of the event log. `run_once` is the whole cycle; tests call it directly.

    `client` is Redis, over which the live streams hear how far the relay is, whichever broker carries the messages.
    """

    def __init__(self, database: Database, transport: Transport, client: Client) -> None:
        self._database = database
        self._transport = transport
        self._client = client
        self._cursor = NOWHERE
        self._commands = 0
        self._marker: str | None = None
        self._placed = False
        self.has_more = False
        """Whether more stored commands may wait than the last cycle has published: a batch."""

    async def run_once(self, *, events_alone: bool = False) -> int:
        """Publishes all that is pending now; returns how many messages went out.

        With `events_alone` it neither looks for stored commands nor whether the broker has lost something, which it
        hears anyway when it publishes: half the questions, for a cycle after each commit.

        Raises Unavailable or asyncpg errors when a server is away; the cursor then stands where the last batch ended.
        """
        published = 0
        if not (events_alone and self._placed):
            await self._place()
            await self._look()
            published = await self._publish_commands()
        rows = await self._pending(self._cursor)
        moving: asyncio.Task[None] | None = None
        try:
            while rows:
                cursor = (rows[-1]["txid"], rows[-1]["position"])
                # The next rows are read, and the cursor is moved, while a batch is on its way to the broker.
                ahead = asyncio.create_task(self._pending(cursor)) if len(rows) == BATCH else None
                try:
                    done = await self._publish([_outgoing(row) for row in rows], Note(cursor, self._commands))
                    if done:
                        published += len(rows)
                        self._cursor = cursor
                        if moving is not None:
                            await moving
                        moving = asyncio.create_task(self._keep(cursor))
                    if not done:
                        rows = await self._pending(self._cursor)
                    else:  # what was committed since a smaller batch was read has woken us again
                        rows = [] if ahead is None else await ahead
                finally:
                    if ahead is not None:
                        await cancelled([ahead])
        finally:
            if moving is not None:
                await moving
        return published

    async def backlog(self, *, most: int = MAX_COUNTED) -> tuple[int, float]:
        """Messages not yet published, `most` or more told as `most`, and the age of the oldest in seconds.

        Sets the gauges.
        """
        await self._place()
        row = await self._database.pool.fetchrow(BACKLOG.format(most=most), *self._cursor)
        assert row is not None
        OUTBOX_PENDING.set(row["pending"])
        OUTBOX_OLDEST_SECONDS.set(row["oldest"])
        return row["pending"], row["oldest"]

    async def _publish_commands(self) -> int:
        rows = await self._database.pool.fetch(sql.COMMANDS_PENDING, BATCH)
        self.has_more = len(rows) == BATCH
        if not rows:
            return 0
        outgoing = [command for row in rows if (command := _stored_command(row)) is not None]
        if outgoing:
            if not await self._publish(outgoing, Note(self._held().cursor, self._commands + 1)):
                return 0
            self._commands += 1
        await self._database.pool.execute(
            sql.COMMANDS_PUBLISHED, LANE, [row["position"] for row in rows], self._commands
        )
        return len(rows)

    async def _publish(self, outgoing: list[tuple[Topic, Envelope]], note: Note) -> bool:
        """Publishes behind all that was published before, and notes how far that is.

        False when the broker has lost data since the last look: what is new must not stand before what is missing, so
        nothing goes out, and the cursor is where that begins.
        """
        if not await self._transport.publish_after(self._marker, outgoing, str(note)):
            await self._look()
            return False
        self._marker = str(note)
        return True

    def _held(self) -> Note:
        return Note() if self._marker is None else Note.parse(self._marker)

    async def _look(self) -> None:
        """Reads the broker's note, and goes back to where its memory ends when it has lost something."""
        self._marker = await self._transport.marker()
        held = self._held()
        if self._marker is None or held.commands < self._commands or not held.reaches(self._cursor):
            await self._database.pool.execute(sql.COMMANDS_AGAIN, RETENTION_HOURS)
            if held.commands < self._commands:
                log.warning("the broker has lost commands, publishing them again")
                await self._database.pool.execute(sql.COMMANDS_PUBLISHED, LANE, [], held.commands)
        self._commands = held.commands
        self._cursor = await self._checked(self._cursor, held)

    async def _place(self) -> None:
        if not self._placed:
            await self._read_place()
            self._placed = True

    async def _pending(self, cursor: Cursor) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await self._database.pool.fetch(PENDING, *cursor, BATCH)
        return rows

    async def _keep(self, cursor: Cursor) -> None:
        """Keeps the cursor; after the note, so that a crash in between publishes again, which the inbox absorbs.

        The live streams look by themselves when they do not hear, so where Kafka is the broker no message waits for
        Redis.
        """
        await self._database.pool.execute(
            "UPDATE bus.relay_cursors SET txid = $2::text::xid8, position = $3, moved_at = clock_timestamp()"
            " WHERE lane = $1",
            LANE,
            *cursor,
        )
        with suppress(*OUTAGES):
            await self._client.publish(PUBLISHED_CHANNEL, ":".join(map(str, cursor)))

    async def _read_place(self) -> None:
        row = await self._database.pool.fetchrow(
            "SELECT txid::text AS txid, position, commands FROM bus.relay_cursors WHERE lane = $1", LANE
        )
        assert row is not None
        self._cursor, self._commands = (row["txid"], row["position"]), row["commands"]

    async def _checked(self, cursor: Cursor, held: Note) -> Cursor:
        """The cursor, or where the broker's own memory ends when that is further back: it has lost what came after."""
        if held.reaches(cursor):
            return cursor
        if self._marker is not None:
            log.warning("the broker has lost its newest data, publishing it again")
            return held.cursor
        log.warning("the broker has lost its data, publishing again what it should hold", hours=RETENTION_HOURS)
        await self._transport.ensure(TOPICS.values())
        for further in REFILL_LOOKS_BACK_HOURS:
            start = await self._database.pool.fetchrow(REFILL_FROM, RETENTION_HOURS, RETENTION_HOURS + further)
            if start is not None:
                return start["txid"], start["position"]
        return NOWHERE


def _stored_command(row: Any) -> tuple[Topic, Envelope] | None:
    """The command of an outbox row; None, and a word in the log, for one that nobody could read."""
    try:
        return TOPICS[row["topic"]], Envelope.parse(row["attributes"].encode(), row["data"])
    except (KeyError, ValueError) as error:
        log.error("a stored command cannot be published and is passed over", position=row["position"], error=str(error))
        return None


def _outgoing(row: asyncpg.Record) -> tuple[Topic, Envelope]:
    return TOPICS[row["topic"]], envelope_of(row)


class RelayProcess:
    """The process around it: waits for its turn, wakes on commits, survives outages, trims streams."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = connect(settings.signals_url, max_connections=8)
        self._transport = open_transport(settings)
        self._outages: Outages = (
            Unavailable, *FAILURES, *OUTAGES, *self._transport.outages
        )  # fmt: skip
        self._woken = asyncio.Event()
        self._events_alone = False
        """Whether nothing but events was told of since the last look at everything."""
        self._looked_at = -IDLE_SECONDS
        self._gauged_at = -GAUGE_SECONDS
        self.stopping = asyncio.Event()
        self.ready = False
        """It relays, or stands by for the one that does; false while a server does not answer."""

    async def run(self) -> None:
        """Relays until SIGTERM or SIGINT. Raises what ended one of its own tasks."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        await self.run_until_stopping()

    async def run_until_stopping(self) -> None:
        """`run` without an ear for signals: until `stopping` is set."""
        work = [asyncio.create_task(self._work()), asyncio.create_task(self._listen())]
        for task in work:
            task.add_done_callback(lambda _: self.stopping.set())
        await self.stopping.wait()
        failed = [error for task in work if task.done() and (error := task.exception()) is not None]
        await cancelled(work)
        await self._transport.close()
        await self._client.aclose()
        log.info("stopped")
        if failed:
            raise failed[0]

    async def _work(self) -> None:
        failures = 0
        while True:
            try:
                database = await Database.connect(
                    self._settings.database_url,
                    "prog_relay",
                    max_size=3,
                    plan_once=True,
                    answer_seconds=ANSWER_SECONDS,
                    lasts_later=True,  # a cursor that falls back publishes again what the inbox has
                )
                try:
                    self.ready = True
                    async with database.pool.acquire() as lock:
                        await self._take_turn(lock)
                        log.info("active", lane=LANE)
                        await _first_of(self._relay(Relay(database, self._transport, self._client)), _hold(lock))
                finally:
                    self.ready = False
                    database.pool.terminate()
            except self._outages as error:
                failures += 1
                log.warning("a server does not answer", error=str(error))
                await asyncio.sleep(reconnect_delay_seconds(failures))

    async def _take_turn(self, lock: Any) -> None:
        """Returns when this process holds the lane: no other relays."""
        # Whoever holds it and falls silent, paused or cut off, is ended by the server, and the lock is free again.
        await lock.execute(f"SET idle_session_timeout = '{SILENT_SECONDS}s'")
        while True:
            if await lock.fetchval("SELECT pg_try_advisory_lock($1, $2)", ADVISORY_LOCK, LANE):
                return
            _clear_gauges()
            await asyncio.sleep(TURN_SECONDS)

    async def _relay(self, relay: Relay) -> None:
        try:
            await self._transport.ensure(TOPICS.values())
            await self._relay_on(relay)
        except self._outages:
            await self._gauge(relay)  # what waits while the broker is away is what an operator asks for
            raise

    async def _gauge(self, relay: Relay) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._gauged_at > GAUGE_SECONDS:
            self._gauged_at = now
            await relay.backlog()

    async def _relay_on(self, relay: Relay) -> None:
        loop = asyncio.get_running_loop()
        trimmed_at = loop.time()
        while True:
            self._woken.clear()
            await relay.run_once(events_alone=self._may_take_events_alone(loop.time()))
            if relay.has_more:
                self._events_alone = False
                self._woken.set()
            await self._gauge(relay)
            if loop.time() - trimmed_at > TRIM_SECONDS:
                trimmed_at = loop.time()
                await self._transport.trim(TOPICS.values())
            with suppress(TimeoutError):
                await asyncio.wait_for(self._woken.wait(), timeout=IDLE_SECONDS)
            if self._woken.is_set():
                await asyncio.sleep(GATHER_SECONDS)

    def _may_take_events_alone(self, now: float) -> bool:
        """No, when anything else was told of, or when everything was not looked at for a while."""
        if self._events_alone and now - self._looked_at < IDLE_SECONDS:
            return True
        self._events_alone, self._looked_at = True, now
        return False

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await pubsub.subscribe(WAKE_CHANNEL)
                    async for message in pubsub.listen():
                        failures = 0
                        if message["data"] != EVENTS_WAIT:
                            self._events_alone = False
                        self._woken.set()
            except OUTAGES:
                failures += 1
                await asyncio.sleep(reconnect_delay_seconds(failures))


def _clear_gauges() -> None:
    """What another relay tells now must not be told by this one too."""
    OUTBOX_PENDING.set(0)
    OUTBOX_OLDEST_SECONDS.set(0)


async def _hold(lock: Any) -> None:
    """Keeps the connection in which the lock lives from falling silent. Raises when it is gone."""
    while True:
        await asyncio.sleep(SILENT_SECONDS / 4)
        await lock.execute("SELECT 1", timeout=SILENT_SECONDS / 2)


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Runs all until one of them ends, and raises what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await cancelled(tasks)


async def run() -> None:
    """The relay process."""
    settings = Settings.load()
    logging.configure(settings.log_level, settings.process_name)
    relay = RelayProcess(settings)
    with probes.serving(settings, lambda: relay.ready):
        await relay.run()
