"""Listeners of the event log: what they want, and what happens to one that does not keep up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from prog_edge.sse import encode
from prog_edge.tail import QUEUE_LIMIT, Interest, Listener
from prog_workers.events.queries import Cursor, EventRow

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
        (Interest(tenant_id="tenant_b", types=frozenset({"prognetwork.tenants.tenant_created"})), False),
    ],
)
def test_a_listener_gets_what_it_asked_for(interest: Interest, wanted: bool) -> None:
    assert interest.wants(event()) is wanted


async def test_events_come_in_order_with_heartbeats_in_between() -> None:
    listener = Listener(Interest(), Cursor(0, 0))
    events = listener.events(heartbeat_seconds=0.001)
    assert await anext(events) is None
    listener.offer(event(1))
    listener.offer(event(2))
    listener.end()
    assert [item.position async for item in events if item is not None] == [1, 2]


async def test_who_does_not_keep_up_is_cut_off_without_a_gap() -> None:
    listener = Listener(Interest(), Cursor(0, 0))
    for position in range(QUEUE_LIMIT + 5):
        listener.offer(event(position))
    assert listener.cut_off
    seen = [item.position async for item in listener.events(1) if item is not None]
    assert seen == list(range(QUEUE_LIMIT))


def test_an_event_is_one_frame_whatever_it_says() -> None:
    frame = encode(event(42)).decode()
    assert frame.startswith("id: 42\nevent: prognetwork.tenants.tenant_created\ndata: {")
    assert frame.endswith("}\n\n")
    assert frame.count("\n") == 4
