"""Which contests there are: the rows of `prog bench bus`, what each must reach, and how the judge fills and checks."""

from __future__ import annotations

from functools import partial
from importlib.metadata import version
from typing import Final

import asyncpg
from faststream.redis import RedisBroker

from prog_broker.redis.streams import ensure_group
from prog_contracts.envelope import Envelope
from prog_infra.bench.bus import crowds, kafka, message
from prog_infra.bench.bus.contest import Comparison, Contest, Process
from prog_infra.bench.bus.queues import queues
from prog_infra.bench.bus.sides import consume as bare
from prog_infra.bench.bus.sides import shipped
from prog_infra.bench.bus.sides.publish import RAW_STREAM
from prog_infra.bench.bus.stage import Stage, must

OURS: Final = version("prognetwork")
STREAM: Final = message.TOPIC.stream(0)
STREAMS: Final = [message.TOPIC.stream(partition) for partition in range(message.TOPIC.partitions)]
APPEND: Final = """
INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                           actor, correlation_id, occurred_at, data)
SELECT u.message_id, 'event', $1, $2, $3, 1, u.tenant_id, u.tenant_id, u.actor, u.message_id, u.occurred_at, u.data
FROM unnest($4::uuid[], $5::text[], $6::text[], $7::timestamptz[], $8::bytea[]) WITH ORDINALITY
     AS u (message_id, tenant_id, actor, occurred_at, data, ordinality)
ORDER BY u.ordinality
"""


def contests() -> list[Contest]:
    """All, in the order in which they are held and shown."""
    return [publish(), consume(), inbox(), relay(), reclaim(), handled(), *crowds.contests(), *kafka.contests()]


def publish() -> Contest:
    ours = Process("publish-ours", "ours", nothing, published, OURS)
    raw = Process("publish-raw", "redis-py, the same message by hand", nothing, published)
    body = Process("publish-body", "redis-py, the body alone", nothing, published)
    return Contest("publish", [Comparison("publish, pipelined 500", ours, raw, 0.80, 0.95)], [body])


def consume() -> Contest:
    ours = Process("consume-ours", "ours", fill, settled, OURS)
    raw = Process("consume-raw", "redis-py, XREADGROUP, validate, XACK", fill_raw, settled_raw)
    faststream = Process("consume-faststream", "FastStream", fill_faststream, settled_faststream, version("faststream"))
    frozen = Process(
        "consume-faststream-frozen",
        "FastStream, its modules kept out of the garbage collector",
        partial(fill_faststream, stream=shipped.FROZEN_STREAM),
        partial(settled_faststream, stream=shipped.FROZEN_STREAM),
        version("faststream"),
    )
    return Contest(
        "consume",
        [
            Comparison("batch consume, pydantic, metrics on", ours, raw, 0.70, 0.90),
            Comparison("batch consume, FastStream as shipped", ours, faststream, 4.0, 5.0),
        ],
        [faststream, frozen],
    )


def inbox() -> Contest:
    ours = Process("inbox-ours", "ours", fill, in_inbox, OURS)
    raw = Process("inbox-raw", "redis-py and asyncpg, bare", fill_raw, in_bare_inbox)
    return Contest("inbox", [Comparison("batch consume, inbox and commit in PostgreSQL", ours, raw, 0.60, 0.85)])


def relay() -> Contest:
    ours = Process("relay-ours", "ours", fill_event_log, published, OURS)
    raw = Process("relay-raw", "redis-py, XADD alone", nothing, published)
    return Contest("relay", [Comparison("relay PostgreSQL to broker", ours, raw, 0.60, 0.90)])


def reclaim() -> Contest:
    heir = Inheritance("consume-heir", "ours, of a dead worker", fill, settled, OURS)
    live = Process("consume-ours", "ours, live", fill, settled, OURS)
    return Contest("reclaim", [Comparison("reclaim of a dead worker's batch", heir, live, 0.90, 1.0)], times_as_long=3)


def handled() -> Contest:
    ours = Process("consume-ours", "ours", fill, settled, OURS)
    peers = queues()
    rows = [Comparison(f"messages handled, beside {peer.name}", ours, peer, 10.0, 20.0) for peer in peers]
    return Contest("handled", rows, peers)


class Inheritance(Process):
    """Ours, after another process of the same group was killed with its first batch in its hands."""

    async def prepare(self, stage: Stage, messages: int) -> None:
        dead = Process("consume-ours", "a worker that will be killed", fill, settled, OURS)
        try:
            await dead.open(stage)
            await dead.prepare(stage, messages)
            await self.order("arm", messages)
        finally:
            await dead.kill()


async def nothing(stage: Stage, messages: int) -> None:
    """A publisher finds empty streams."""


async def fill(stage: Stage, messages: int) -> None:
    await stage.fill(STREAM, message.envelopes(messages))


async def fill_raw(stage: Stage, messages: int) -> None:
    """The same entries, on a stream of its own."""
    await stage.fill(bare.RAW_STREAM, message.envelopes(messages), [bare.RAW_GROUP])


async def fill_faststream(stage: Stage, messages: int, stream: str = shipped.STREAM) -> None:
    """By FastStream itself, in its own format."""
    async with RedisBroker(stage.redis_url, logger=None) as broker:  # type: ignore[arg-type]
        for start in range(0, messages, 5000):
            pipeline = stage.redis.pipeline(transaction=False)
            for index in range(start, min(start + 5000, messages)):
                await broker.publish(message.body(message.FIRST + index), stream=stream, pipeline=pipeline)
            await pipeline.execute()


async def fill_event_log(stage: Stage, messages: int) -> None:
    """As a worker's commit leaves it."""
    for partition in range(message.TOPIC.partitions):
        await ensure_group(stage.redis, message.TOPIC.stream(partition), message.GROUP)
    await stage.database.execute("TRUNCATE bus.event_log")
    await append(stage.database, list(message.envelopes(messages, range(message.TOPIC.partitions))))


async def append(database: asyncpg.Connection[asyncpg.Record], waiting: list[Envelope]) -> None:
    """Puts events into the log."""
    for start in range(0, len(waiting), 5000):
        part = waiting[start : start + 5000]
        await database.execute(
            APPEND, message.TOPIC.name, message.TOPIC.domain, message.Body.TYPE, [e.id for e in part],
            [e.tenant_id for e in part], [e.actor for e in part], [e.time for e in part], [e.data for e in part],
        )  # fmt: skip


async def published(stage: Stage, messages: int) -> None:
    """Everything lies on the streams, once."""
    streams = [*STREAMS, RAW_STREAM]
    found = await stage.content(streams)
    must(found == (messages, message.checksum(messages)), f"{found[0]} of {messages} messages were published")
    await stage.empty(streams)


async def settled(stage: Stage, messages: int, group: str = bare.GROUP) -> None:
    """Everything is acknowledged."""
    must(await stage.is_settled(STREAM, group), "not everything is acknowledged")
    await stage.empty([STREAM])


async def settled_raw(stage: Stage, messages: int) -> None:
    must(await stage.is_settled(bare.RAW_STREAM, bare.RAW_GROUP), "not everything is acknowledged")
    await stage.empty([bare.RAW_STREAM])


async def settled_faststream(stage: Stage, messages: int, stream: str = shipped.STREAM) -> None:
    must(await stage.is_settled(stream, shipped.GROUP), "not everything is acknowledged")
    await stage.empty([stream])


async def in_inbox(stage: Stage, messages: int) -> None:
    """Everything is acknowledged and in our inbox, with the gun; nothing was put off or is a dead letter."""
    await settled(stage, messages, message.GROUP)
    handled = await stage.database.fetchval(
        "SELECT count(*) FROM bus.inbox WHERE consumer_group = $1 AND status = 'succeeded'", message.GROUP
    )
    must(handled == messages + 1, f"{handled} of {messages + 1} messages are in the inbox")
    left = await stage.database.fetchval(
        "SELECT (SELECT count(*) FROM bus.retries) + (SELECT count(*) FROM bus.dead_letters)"
    )
    must(left == 0, f"{left} messages failed")
    await stage.database.execute("TRUNCATE bus.inbox")


async def in_bare_inbox(stage: Stage, messages: int) -> None:
    await settled_raw(stage, messages)
    handled = await stage.database.fetchval("SELECT count(*) FROM bench.inbox")
    must(handled == messages, f"{handled} of {messages} messages are in the inbox")
    await stage.database.execute("TRUNCATE bench.inbox")
