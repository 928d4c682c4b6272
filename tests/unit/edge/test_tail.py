"""Listeners of the event log: what they want, and what happens to one that does not keep up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from prog_edge.drain import Drain
from prog_edge.sse import _Frames, cloud_event, encode
from prog_edge.tail import QUEUE_LIMIT, EventTail, FellBehind, Interest, Listener
from prog_workers.events.queries import Cursor, EventRow
from tests.waiting import wait_until

AT = datetime(2027, 1, 31, tzinfo=UTC)


def event(position: int = 1, **changes: Any) -> EventRow:
    fields: dict[str, Any] = {
        "position": position,
        "txid": 7,
        "message_id": UUID(int=position),
        "type": "prognetwork.tenants.tenant_created",
        "schema_version": 1,
        "tenant_id": "tenant_a",
        "subject": "tenant_a",
        "actor": None,
        "correlation_id": UUID(int=1),
        "causation_id": None,
        "traceparent": None,
        "occurred_at": AT,
        "recorded_at": AT,
        "body": {"name": "Acme\nLtd"},
        **changes,
    }
    return EventRow(**fields)


@pytest.mark.parametrize(
    ("interest", "wanted"),
    [
        (Interest(), True),
        (Interest(tenant_id="tenant_a"), True),
        (Interest(tenant_id="tenant_b"), False),
        (Interest(types=frozenset({"prognetwork.tenants.tenant_created"})), True),
        (Interest(types=frozenset({"prognetwork.users.user_created"})), False),
        (Interest(subject="tenant_a"), True),
        (Interest(subject="invoice_a"), False),
        (Interest(domain="tenants"), True),
        (Interest(domain="users"), False),
        (Interest(beginnings=("prognetwork.tenants.",)), True),
        (Interest(beginnings=("prognetwork.users.", "prognetwork.email.")), False),
        (Interest(types=frozenset({"com.acme.x"}), beginnings=("prognetwork.",)), True),
        (Interest(tenant_id="tenant_b", types=frozenset({"prognetwork.tenants.tenant_created"})), False),
    ],
)
def test_a_listener_gets_what_it_asked_for(interest: Interest, wanted: bool) -> None:
    assert interest.wants(event()) is wanted


async def test_events_come_in_order_with_heartbeats_in_between() -> None:
    listener = Listener(Interest(), Cursor(0, 0))
    batches = listener.batches(heartbeat_seconds=0.001)
    assert await anext(batches) == ()
    listener.offer(event(1))
    listener.offer(event(2))
    listener.end()
    assert [item.position async for batch in batches for item in batch] == [1, 2]


def test_a_tenants_own_type_is_of_no_domain() -> None:
    assert not Interest(domain="tenants").wants(event(type="com.tenants.tenant_created"))


async def test_who_does_not_keep_up_is_cut_off_without_a_gap() -> None:
    listener = Listener(Interest(), Cursor(0, 0))
    for position in range(QUEUE_LIMIT + 5):
        listener.offer(event(position))
    assert listener.cut_off
    batches = listener.batches(1)
    assert [item.position for item in await anext(batches)] == list(range(QUEUE_LIMIT))
    with pytest.raises(FellBehind):
        await anext(batches)


def test_what_a_tenant_published_is_told_as_it_came() -> None:
    own = event(
        type="com.acme.order", source="/shop", source_id="A-1", extensions={"region": "eu", "position": 0},
        stream="order-1", stream_version=3, schema_version=0, body=[1, None],
    )  # fmt: skip
    told = cloud_event(own)
    assert (told["id"], told["source"], told["region"], told["data"]) == ("A-1", "/shop", "eu", [1, None])
    assert (told["streamversion"], told["schemaversion"], told["messageid"]) == (3, None, str(UUID(int=1)))
    assert told["position"] == 1, "an extension takes no name of the platform's"


def test_an_event_is_one_frame_whatever_it_says() -> None:
    frame = encode(event(42)).decode()
    assert frame.startswith("id: 42\nevent: prognetwork.tenants.tenant_created\ndata: {")
    assert frame.endswith("}\n\n")
    assert frame.count("\n") == 4


async def test_who_comes_while_the_last_one_is_seen_off_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """The task that follows the log ends with its last listener, and takes a while to let go of Redis."""
    log: list[EventRow] = []
    hearing, letting_go, may_let_go = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def end(_: Any) -> Cursor:
        return Cursor(7, len(log))

    async def since(_: Any, txid: int, position: int, limit: int) -> Any:
        return SimpleNamespace(rows=log[position:], cursor=Cursor(7, len(log)))

    class Pubsub:
        async def subscribe(self, _: str) -> None:
            hearing.set()

        async def listen(self) -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

    @asynccontextmanager
    async def pubsub() -> AsyncIterator[Pubsub]:
        try:
            yield Pubsub()
        finally:
            letting_go.set()
            await may_let_go.wait()

    @asynccontextmanager
    async def operator() -> AsyncIterator[None]:
        yield None

    monkeypatch.setattr("prog_edge.tail.tail_end", end)
    monkeypatch.setattr("prog_edge.tail.tail_since", since)
    database: Any = SimpleNamespace(operator=operator)
    redis: Any = SimpleNamespace(pubsub=pubsub)
    tail = EventTail(database, Drain(), redis)
    with tail.listening(await tail.listen(Interest())):
        await wait_until(hearing.is_set)
    await wait_until(letting_go.is_set)
    late = await tail.listen(Interest())
    may_let_go.set()
    with tail.listening(late):
        log.append(event(1))
        await wait_until(lambda: len(late._queue) == 1, within_seconds=3)
    await tail.close()


async def test_a_log_that_cannot_be_followed_ends_the_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their clients come again with what they saw last, instead of waiting for ever."""

    async def end(_: Any) -> Cursor:
        return Cursor(7, 0)

    async def since(*_: Any) -> Any:
        raise ValueError("a row that nobody can read")

    @asynccontextmanager
    async def operator() -> AsyncIterator[None]:
        yield None

    monkeypatch.setattr("prog_edge.tail.tail_end", end)
    monkeypatch.setattr("prog_edge.tail.tail_since", since)
    database: Any = SimpleNamespace(operator=operator)
    tail = EventTail(database, Drain())
    listener = await tail.listen(Interest())
    with tail.listening(listener):
        events = [item async for item in listener.batches(heartbeat_seconds=30)]
    assert events == []
    await tail.close()


def test_two_events_of_one_position_are_told_apart() -> None:
    """As after a restore: what an edge has told of a position says nothing of another event there."""
    before = event(5, message_id=UUID(int=501), tenant_id="tenant_a")
    after = event(5, message_id=UUID(int=502), tenant_id="tenant_b")
    frames = _Frames()
    assert b"tenant_a" in frames.of(before)
    assert b'"tenantid":"tenant_b"' in frames.of(after)
