"""The message that every contestant carries: an order of 1 KB, as a model like those of the contracts.

`number` counts them, so that the sum over the numbers tells whether each came exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, ClassVar, Final

import msgspec
import orjson
from pydantic import BaseModel

from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.messages import Event
from prog_contracts.topics import Topic, topic_of


class Line(BaseModel):
    sku: str
    qty: int
    price: float


class OrderPlaced(Event):
    """An order with 16 lines and a note. It is no contract: the registry does not have it, and nobody else sends it."""

    TYPE: ClassVar[str] = "prognetwork.payments.bench_order_placed"

    order_id: str
    customer: str
    currency: str
    number: int
    placed_at: float
    lines: list[Line]
    note: str


Body = OrderPlaced
TOPIC: Final[Topic] = topic_of(Body)
GROUP: Final = "tenants"
"""The domain that consumes it here; its own handlers are left out."""

BATCH: Final = 500
BODY_BYTES: Final = 1024
LINES: Final = 16
FIRST: Final = 100_000
"""The lowest number: all have six digits, so that all bodies are of one size."""

GUN: Final = 0
"""The number of the message that a contestant holds in its hands until the round begins."""

KEYS: Final = 40
SOURCE: Final = "/prognetwork/bench"


def body(number: int) -> OrderPlaced:
    """The event with this number; 1024 bytes as JSON."""
    return _template().model_copy(update={"number": number})


@cache
def encoded(number: int) -> bytes:
    """The body as it lies on the broker."""
    return body(number).model_dump_json(exclude_none=True).encode()


def document(number: int) -> dict[str, Any]:
    """The body as a plain dict, for clients that know no models."""
    fields: dict[str, Any] = orjson.loads(encoded(number))
    return fields


def envelopes(count: int, partitions: Sequence[int] = (0,)) -> Iterator[Envelope]:
    """Envelopes with fresh ids and the numbers from FIRST on, spread over KEYS tenants of these partitions."""
    keys = [_keys(partition) for partition in partitions]
    for index in range(count):
        lane = keys[index % len(keys)]
        yield msgspec.structs.replace(lane[index % KEYS], id=new_message_id(), data=encoded(FIRST + index))


def gun(partition: int = 0) -> Envelope:
    return msgspec.structs.replace(_keys(partition)[0], id=new_message_id(), data=encoded(GUN))


def checksum(count: int) -> int:
    """What the numbers of `count` messages add up to."""
    return count * FIRST + count * (count - 1) // 2


@cache
def _keys(partition: int) -> list[Envelope]:
    """An envelope for each of KEYS tenants whose messages go to this partition."""
    found: list[Envelope] = []
    while len(found) < KEYS:
        tenant = new_id("tenant")
        if TOPIC.partition_of(tenant) == partition:
            found.append(wrap(body(GUN), tenant_id=tenant, source=SOURCE, actor="system"))
    return found


@cache
def _template() -> OrderPlaced:
    event = OrderPlaced(
        order_id=new_id("order"),
        customer=new_id("customer"),
        currency="EUR",
        number=FIRST,
        placed_at=1_798_761_600.125,
        lines=[Line(sku=f"sku-{number:06d}", qty=number, price=9.99) for number in range(LINES)],
        note="",
    )
    missing = BODY_BYTES - len(event.model_dump_json(exclude_none=True))
    return event.model_copy(update={"note": ("Leave it with the neighbour. " * BODY_BYTES)[:missing]})
