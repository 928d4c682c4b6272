"""Reading for an outside group on Redis streams: in order a shard, one batch ahead, the position kept behind a fence.

A shard has a connection of its own, and is read from the group's position as the platform's workers do it (ADR 8):
reading takes nothing away. The position moves in a transaction behind a WATCH of the shard's fencing token, so a
process that has lost the shard cannot move it, whatever its own clock says. One packet a batch keeps the position,
watches anew and reads the batch behind the one in hand; that one is handled while the server works.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import orjson
from redis.exceptions import ResponseError

from prog_broker.bus.delivering import DeadLetter, Deliverer, Entry, wait_any
from prog_broker.bus.leases import Lease, Leases
from prog_broker.bus.subscriptions import Plan
from prog_broker.redis import streams
from prog_broker.redis.connection import OUTAGES, Client, raw, reconnect_delay_seconds
from prog_kit import logging
from prog_kit.tasks import cancelled

log = logging.get("prog_broker.bus.redis")

BLOCK_MILLISECONDS: Final = 2_000
"""How long a read waits for the first message before it looks around."""

DEAD_RETENTION_SECONDS: Final = 14 * 86_400


Command: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class ReadingOptions:
    """How a program reads; see `Bus`."""

    member: str
    batch_size: int
    lease_seconds: float
    drain_seconds: float


def dead_stream(group: str) -> str:
    """Where the dead letters of a group are: the fields `ce` and `data` of the message, and `dead`, which says why."""
    return f"prog.{group}.dead.0"


class GroupReader:
    """Reads all shards of one group that this program's leases give it."""

    def __init__(self, client: Client, plan: Plan, deliverer: Deliverer, options: ReadingOptions) -> None:
        self._client = client
        self._plan = plan
        self._options = options
        self._stopping = asyncio.Event()
        self.leases = Leases(client, plan.group, options.member, list(plan.topics.values()),
                             seconds=options.lease_seconds)  # fmt: skip
        self.shards = [
            ShardReader(client, plan, lease, deliverer, options, self._stopping) for lease in self.leases.all
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Makes the groups at the place that the plan names, waiting for the server, and begins to read."""
        await _until_up(self._make_groups)
        self._tasks = [asyncio.create_task(self.leases.keep())]
        self._tasks += [asyncio.create_task(shard.run()) for shard in self.shards]

    async def stop(self) -> None:
        """Finishes what is at work, as long as the drain time lasts, and gives the leases back."""
        self._stopping.set()
        reading = self._tasks[1:]
        await cancelled([task for shard, task in zip(self.shards, reading, strict=False) if shard.idle])
        if reading:
            await asyncio.wait(reading, timeout=self._options.drain_seconds)
        await cancelled(self._tasks)
        with suppress(*OUTAGES, ResponseError):
            await self.leases.leave()

    async def _make_groups(self) -> None:
        at = "0" if self._plan.start == "beginning" else "$"
        for lease in self.leases.all:
            await make_group(self._client, lease.stream, self._plan.group, at)


class ShardReader:
    """One shard: its connection, its loop, and the `Source` that the deliverer sees."""

    def __init__(
        self,
        client: Client,
        plan: Plan,
        lease: Lease,
        deliverer: Deliverer,
        options: ReadingOptions,
        stopping: asyncio.Event,
    ) -> None:
        self.topic, self.partition = lease.topic.name, lease.partition
        self.lease = lease
        self.idle = True
        self._client = client
        self._group = plan.group
        self._deliverer = deliverer
        self._options = options
        self._stopping = stopping
        self._connection: Any = None
        self._token = 0
        self._counted: int | None = None
        self._batch: list[Entry] = []
        self._kept = 0
        self._due: list[str] = []
        self._ahead: list[Entry] = []

    @property
    def fence(self) -> int:
        return self._token

    def holding(self) -> bool:
        lease = self.lease
        return not self._stopping.is_set() and lease.held() and lease.token == self._token

    def lose(self) -> None:
        self.lease.lose()

    async def rest(self, seconds: float) -> None:
        await wait_any(self._stopping, seconds)

    async def keep(self, settled: int) -> None:
        """Keeps the position in the middle of a batch; the batch that was read ahead waits meanwhile."""
        if settled > self._kept:
            if self._due:
                self._ahead = await self._received()
            await self._sent(self._position(settled))
            await self._received()

    async def bury(self, entry: Entry, letter: DeadLetter) -> bool:
        """Adds to the group's dead stream, and lets go of what is older than its retention."""
        receipt, attributes, data = entry
        why = {
            "group": self._group, "topic": self.topic, "partition": self.partition, "receipt": receipt.decode(),
            "code": letter.code, "reason": letter.reason, "attempts": letter.attempts, "traceback": letter.traceback,
        }  # fmt: skip
        floor = f"{int((time.time() - DEAD_RETENTION_SECONDS) * 1000)}-0"
        failures = 0
        while True:
            try:
                await raw(self._client, "XADD", dead_stream(self._group), "MINID", "~", floor, "*",
                          "ce", attributes, "data", data, "dead", orjson.dumps(why))  # fmt: skip
                return True
            except OUTAGES:
                failures += 1
                await self.rest(reconnect_delay_seconds(failures))
                if not self.holding():
                    return False

    async def run(self) -> None:
        """Reads whenever the shard is ours, until the program stops. Outlives the server's absence."""
        failures = 0
        while not self._stopping.is_set():
            self.idle = True
            await self.lease.gained.wait()
            if not self.lease.held():
                self.lease.lose()  # it ended while the server, or this process, was away: it is taken anew
                continue
            try:
                await self._serve()
                failures = 0
            except OUTAGES as error:
                failures += 1
                if failures == 1:
                    log.warning("broker does not answer", stream=self.lease.stream, error=str(error))
                await self.rest(reconnect_delay_seconds(failures))
            except Exception as error:
                failures += 1
                if isinstance(error, ResponseError) and _is_missing(error):
                    log.warning("group is gone, making it again", stream=self.lease.stream, group=self._group)
                    with suppress(*OUTAGES):
                        await make_group(self._client, self.lease.stream, self._group, "0")
                else:  # no defect may end the reading of a shard
                    log.exception("shard cannot be read", stream=self.lease.stream, group=self._group)
                await self.rest(reconnect_delay_seconds(failures))
            finally:
                await self._disconnect()

    async def _serve(self) -> None:
        """From gaining the shard to losing it. `busy` is held from the first message of a streak to the last kept."""
        self._token = self.lease.token
        after = await self._connect()
        if after is None:
            return
        while self.holding():
            await self._sent(None, read_after=after, block=True)
            batch = await self._received()
            if batch:
                self.idle = False
                async with self.lease.busy:
                    after = await self._streak(batch)
                self.idle = True

    async def _streak(self, batch: list[Entry]) -> bytes:
        """Batch after batch, as long as there are some and the shard is ours; returns what was read last."""
        position: Command | None = None
        after: bytes = batch[-1][0]
        while batch and self.holding():
            self._batch, self._kept, self._ahead = batch, 0, []
            after = batch[-1][0]
            await self._sent(position, read_after=after)
            settled = await self._deliverer.deliver(self, batch)
            batch = await self._received() if self._due else self._ahead
            position = self._position(settled) if settled > self._kept else None
            if settled < len(self._batch):
                if not self._stopping.is_set():
                    self.lease.lose()  # the rest is read again by whoever takes the shard next
                break
        await self._sent(position)
        await self._received()
        return after

    async def _sent(self, position: Command | None, *, read_after: bytes | None = None, block: bool = False) -> None:
        """Sends one packet: keep the position, watch the fence anew, read on."""
        stream, key = self.lease.stream, self.lease.fence_key
        packet: list[Command] = []
        if position is not None:
            packet += [("MULTI",), position, ("EXEC",), ("WATCH", key), ("GET", key)]
        if read_after is not None:
            waiting = ("BLOCK", BLOCK_MILLISECONDS) if block else ()
            packet.append(("XREAD", "COUNT", self._options.batch_size, *waiting, "STREAMS", stream, read_after))
        if packet:
            await self._connection.send_packed_command(self._connection.pack_commands(packet))
        self._due = [str(words[0]) for words in packet]

    async def _received(self) -> list[Entry]:
        """The replies to what was sent; the entries, if any were read. Notices when the fence has moved."""
        due, self._due = self._due, []
        replies = dict(zip(due, [await self._answer() for _ in due], strict=True))
        for reply in replies.values():
            if isinstance(reply, ResponseError):
                raise reply
        if "EXEC" in replies:
            done = replies["EXEC"]
            if done is None or replies["GET"] != b"%d" % self._token:
                self._fenced()
            elif isinstance(done[0], ResponseError):
                raise done[0]
        entries = replies.get("XREAD")
        return [_entry(receipt, fields) for receipt, fields in entries[0][1]] if entries else []

    def _position(self, settled: int) -> Command:
        """The command that keeps the position after `settled` messages of the batch in hand."""
        words = ("XGROUP", "SETID", self.lease.stream, self._group, self._batch[settled - 1][0])
        more, self._kept = settled - self._kept, settled
        if self._counted is None:
            return words
        self._counted += more
        return (*words, "ENTRIESREAD", self._counted)

    def _fenced(self) -> None:
        if self.lease.gained.is_set() and self.lease.token == self._token:
            log.warning("lease lost", stream=self.lease.stream, group=self._group, token=self._token)
            self.lease.lose()

    async def _connect(self) -> bytes | None:
        """Watches the fence on a fresh connection; the group's position, or None when the shard is another's."""
        pool: Any = self._client.connection_pool
        self._connection = await pool.get_connection()
        self._due = []
        key = self.lease.fence_key
        packet: list[Command] = [("WATCH", key), ("GET", key), ("XINFO", "GROUPS", self.lease.stream)]
        await self._connection.send_packed_command(self._connection.pack_commands(packet))
        _, token, groups = [await self._answer() for _ in packet]
        if token != b"%d" % self._token:
            self._fenced()
            return None
        if isinstance(groups, ResponseError):
            raise groups
        rows = [dict(zip(row[::2], row[1::2], strict=True)) for row in groups]
        mine = next((row for row in rows if row[b"name"] == self._group.encode()), None)
        if mine is None:
            raise ResponseError(f"NOGROUP {self._group}")
        after: bytes = mine[b"last-delivered-id"]
        self._counted = mine.get(b"entries-read")
        if self._counted is None and after == streams.BEGINNING:
            self._counted = await self._trimmed()
        return after

    async def _trimmed(self) -> int:
        """How many entries the stream has lost at its beginning: what a group at its beginning has behind it."""
        await self._connection.send_command("XINFO", "STREAM", self.lease.stream)
        reply = await self._answer()
        if isinstance(reply, ResponseError):
            raise reply
        stream = dict(zip(reply[::2], reply[1::2], strict=True))
        return int(stream[b"entries-added"]) - int(stream[b"length"])

    async def _answer(self) -> Any:
        """One reply as it stands; an error is returned, so that the replies behind it are read too."""
        try:
            return await self._connection.read_response(disable_decoding=True)
        except ResponseError as error:
            return error

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
            await self._client.connection_pool.release(connection)


async def make_group(client: Client, stream: str, group: str, at: str) -> None:
    """Makes the stream and the group unless they are there."""
    try:
        await client.xgroup_create(stream, group, id=at, mkstream=True)
    except ResponseError as error:
        if "BUSYGROUP" not in str(error):
            raise


async def _until_up(step: Any) -> None:
    failures = 0
    while True:
        try:
            await step()
            return
        except OUTAGES as error:
            failures += 1
            if failures == 1:
                log.warning("waiting for the broker", error=str(error))
            await asyncio.sleep(reconnect_delay_seconds(failures))


def _is_missing(error: ResponseError) -> bool:
    """The group or its stream is gone: the server has lost its data."""
    text = str(error)
    return "NOGROUP" in text or "requires the key to exist" in text or "no such key" in text


def _entry(receipt: bytes, fields: Any) -> Entry:
    if len(fields) == 4 and fields[0] == b"ce" and fields[2] == b"data":
        return receipt, fields[1], fields[3]
    pairs = dict(zip(fields[::2], fields[1::2], strict=True))
    return receipt, pairs.get(b"ce", b""), pairs.get(b"data", b"")


class Replies:
    """Where the answers to this program's commands arrive; listens from the first `request` on."""

    def __init__(self, client: Client, channel: str) -> None:
        self.channel = channel
        self._client = client
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._listening = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def expect(self, message_id: str) -> asyncio.Future[dict[str, Any]]:
        """A future for the answer to a command that is about to be sent."""
        if self._task is None:
            self._task = asyncio.create_task(self._listen())
        await wait_any(self._listening, 3.0)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[message_id] = future
        return future

    def forget(self, message_id: str) -> None:
        self._waiting.pop(message_id, None)

    async def close(self) -> None:
        if self._task is not None:
            await cancelled([self._task])

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with self._client.pubsub() as pubsub:
                    await pubsub.subscribe(self.channel)
                    async for message in pubsub.listen():
                        if message["type"] == "subscribe":
                            failures = 0
                            self._listening.set()
                        elif message["type"] == "message":
                            self._resolve(message["data"])
            except OUTAGES:
                failures += 1
                self._listening.clear()
                await asyncio.sleep(reconnect_delay_seconds(failures))

    def _resolve(self, payload: bytes) -> None:
        with suppress(orjson.JSONDecodeError, KeyError, TypeError):
            fields = orjson.loads(payload)
            future = self._waiting.pop(fields["id"], None)
            if future is not None and not future.done():
                future.set_result(fields)
