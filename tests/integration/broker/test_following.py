"""Following topics without a group: from now, from the start, or from a time."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import TenantUpdated
from prog_contracts.topics import topic_of
from tests.integration.broker.conftest import Rig, eventually

EVENTS = topic_of(TenantUpdated)


async def publish(rig: Rig, name: str) -> None:
    event = TenantUpdated(tenant_id=new_id("tenant"), name=name, status="active")
    await rig.transport.publisher.send([(EVENTS, wrap(event, tenant_id=event.tenant_id, source="/test"))])


async def followed(rig: Rig, count: int, **beginning: Any) -> list[str]:
    names: list[str] = []
    async with asyncio.timeout(60):
        async for _, _, delivery in rig.transport.follow([EVENTS], **beginning):
            names.append(orjson.loads(delivery.data)["name"])
            if len(names) == count:
                break
    return sorted(names)


async def test_a_follower_begins_at_a_time(rig: Rig) -> None:
    await publish(rig, "before")
    since = datetime.now(UTC) + timedelta(milliseconds=2)
    await eventually(lambda: datetime.now(UTC) > since)
    await publish(rig, "after")

    assert await followed(rig, 1, since=since) == ["after"]
    assert await followed(rig, 2, since=since - timedelta(hours=1)) == ["after", "before"]
    assert await followed(rig, 2, from_start=True) == ["after", "before"]


async def test_the_first_millisecond_is_in(rig: Rig) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    event = TenantUpdated(tenant_id=new_id("tenant"), name="at that time", status="active")
    milliseconds = int(at.timestamp() * 1000)
    if rig.transport.kind == "redis":
        await rig.redis.xadd(EVENTS.stream(0), {"ce": b"{}", "data": event.model_dump_json()}, id=f"{milliseconds}-0")
    else:
        async with rig.producer() as producer:
            name = f"{rig.settings.kafka_topic_prefix}{EVENTS.name}"
            body = event.model_dump_json().encode()
            await producer.send_and_wait(name, body, partition=0, timestamp_ms=milliseconds)

    assert await followed(rig, 1, since=at) == ["at that time"]


async def test_what_the_broker_holds_has_an_end(rig: Rig) -> None:
    """Of what is published meanwhile nothing is shown, and an empty broker ends it at once."""
    names: list[str] = []
    async with asyncio.timeout(60):
        async for _ in rig.transport.follow([EVENTS], from_start=True, until_now=True):
            raise AssertionError("nothing was published yet")
        for name in ("first", "second", "third"):
            await publish(rig, name)
        async for _, _, delivery in rig.transport.follow([EVENTS], from_start=True, until_now=True):
            names.append(orjson.loads(delivery.data)["name"])
            await publish(rig, "meanwhile")
        assert sorted(names) == ["first", "second", "third"]
        async for _ in rig.transport.follow([EVENTS], until_now=True):
            raise AssertionError("from now on there is nothing until now")
