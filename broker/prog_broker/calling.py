"""Which function of a domain takes a message, and the call of it."""

from __future__ import annotations

from typing import Any

from prog_broker.decoding import Incoming
from prog_broker.domain import Domain
from prog_broker.outcome import Outcome
from prog_broker.tracing import AtWork
from prog_broker.transaction import Transaction


class Unparked(Exception):
    """What held a performer's key up is gone by now: look again."""


def performs(item: Incoming) -> bool:
    return item.registration is not None and item.registration.performer is not None


def batch_key(item: Incoming) -> Any:
    """Equal for neighbours that one batch handler takes together; unique for all others."""
    if item.registration is None:
        return "catch_all"
    return item.registration.model if item.registration.batch_handler else item.envelope.id


async def call(domain: Domain, batch: list[Incoming], tx: Transaction) -> Outcome:
    registration = batch[0].registration
    if registration is None:
        assert domain.catch_all is not None
        return await domain.catch_all([item.envelope for item in batch], tx)
    if registration.batch_handler is not None:
        return await registration.batch_handler([item.message for item in batch], tx)
    if registration.handler is None:
        raise Unparked
    with AtWork(batch[0].envelope):
        return await registration.handler(batch[0].message, tx)
