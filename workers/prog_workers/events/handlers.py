"""Use cases of the events domain: index every message by the objects it names, and publish customers' events."""

from __future__ import annotations

from prog_broker.domain import Domain
from prog_broker.transaction import Transaction
from prog_contracts.envelope import Envelope
from prog_contracts.events import EventPublished, PublishEvent
from prog_workers.events import rules, store

events = Domain("events", linger_seconds=0.05)


@events.observes_everything
async def index_messages(envelopes: list[Envelope], tx: Transaction) -> None:
    """Makes every message findable by each object in its subject or body."""
    await store.index(
        tx,
        [
            (object_id, envelope.id, envelope.tenant_id, envelope.correlation_id, envelope.time)
            for envelope in envelopes
            for object_id in rules.objects_named(envelope.subject, envelope.data)
        ],
    )


@events.handles(PublishEvent)
async def publish_event(command: PublishEvent, tx: Transaction) -> EventPublished:
    """Appends an event of a tenant's own making to the log, and makes it findable as any other."""
    published = EventPublished(name=command.name, subject_id=command.subject_id, payload=command.payload)
    body = published.model_dump_json(exclude_none=True).encode()
    await store.index(
        tx,
        [
            (object_id, tx.message_id, tx.tenant_id, tx.correlation_id, tx.now)
            for object_id in rules.objects_named(command.subject_id, body)
        ],
    )
    return published
