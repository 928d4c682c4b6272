"""Use cases of the events domain: index every message by the objects it names, and publish customers' events."""

from __future__ import annotations

from prog_broker.domain import Domain
from prog_broker.replaying import Scope
from prog_broker.transaction import Transaction
from prog_contracts.envelope import Envelope
from prog_contracts.errors import Invalid
from prog_contracts.events import EventPublished, PublishEvent
from prog_kit.database import Connection
from prog_workers.events import rules, store

events = Domain("events", linger_seconds=0.05)


@events.observes_everything(replay="repeat")
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


@events.replays(EventPublished, replay="repeat")
async def index_published_event(_: EventPublished, tx: Transaction) -> None:
    """What `publish_event` has indexed, from the log: under the id of the command, which caused the event."""
    envelope = tx.envelope
    await store.index(
        tx,
        [
            (object_id, envelope.causation_id or envelope.id, tx.tenant_id, tx.correlation_id, envelope.time)
            for object_id in rules.objects_named(envelope.subject, envelope.data)
        ],
    )


@events.resets
async def empty_index(connection: Connection, scope: Scope) -> None:
    """Empties the index, of one tenant or of all. It does not keep what type or subject a message had."""
    if scope.types or scope.subject or scope.stream:
        raise Invalid("The index is reset for one tenant or for all: leave out types, subject and stream.")
    await store.empty_index(connection, scope.tenant_id)
