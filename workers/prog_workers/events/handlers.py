"""Use cases of the events domain: index messages by the objects they name, publish tenants' events, keep schemas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import orjson

from prog_broker.domain import Domain
from prog_broker.outcome import Reply
from prog_broker.purging import purge_rows
from prog_broker.replaying import Scope
from prog_broker.transaction import Transaction
from prog_contracts.envelope import Envelope
from prog_contracts.erasure import ForgetPerson, Person, PersonForgotten
from prog_contracts.errors import Conflict, Invalid
from prog_contracts.events import (
    EventPublished,
    NewEvent,
    PublishEvent,
    PublishEvents,
    PurgeStreams,
    RegisterSchema,
    SchemaRegistered,
)
from prog_contracts.tenants import TenantDeleted
from prog_kit.database import Connection
from prog_kit.secrets import PERSON
from prog_workers.events import rules, schemas, store
from prog_workers.events.appending import append
from prog_workers.events.forgetting import rows
from prog_workers.events.forgetting.scrubbing import Sought

events = Domain("events", linger_seconds=0.25)
events.owns(
    deleted=("bus.streams", "bus.event_types", "bus.event_schemas"),
    kept={
        "bus.published_events": "which events were stored, until purge_published_events",
        "events.subjects": "the index of the event log, which goes with the log",
        "bus.audit_intake": "what the recorder has yet to move into the audit trail",
        "events.audit_entries": "the audit trail, which loses nothing that anybody did",
        "events.audit_heads": "the end of the trail, by which it is verified",
        "events.audit_checkpoints": "the trail's signatures",
        "events.audit_origins": "where acts came from, as long as the trail keeps it",
        "events.audit_notes": "what the recorder knows of acts under way",
        "events.deleted_tenants": "that its streams and schemas may go",
    },
)


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


@events.handles(TenantDeleted, replay="repeat")
async def purge_tenant(event: TenantDeleted, tx: Transaction) -> PurgeStreams | None:
    """Deletes the tenant's schemas and streams, a batch at a time. Its events stay as long as the log does, and this
    one is found, too."""
    await index_messages([tx.envelope], tx)
    if tx.replaying:
        return None
    await store.note_deletion(tx)
    return PurgeStreams() if await purge_rows(tx, events.tenant_rows.deleted) else None


@events.handles(PurgeStreams)
async def purge_streams(command: PurgeStreams, tx: Transaction) -> PurgeStreams | None:
    if not await store.is_deleted(tx):
        raise Conflict("The tenant was not deleted.", code="tenant_not_deleted")
    return command if await purge_rows(tx, events.tenant_rows.deleted) else None


@events.handles(ForgetPerson)
async def forget_person(command: ForgetPerson, tx: Transaction) -> ForgetPerson | PersonForgotten:
    """Takes a person out of the next part of what the carrier keeps, and asks for the one after it."""
    person = Person.model_validate_json(tx.sealer.open(command.sealed_person, PERSON))
    sought = Sought(person.user_id, person.email, person.name, tuple(tx.sealer.digests(person.email, "email")))
    async with rows.eraser(tx, sought):
        part, progress = command.part, await _forget_part(tx, command, sought)
    changed = command.changed + progress.changed
    if progress.after is None:
        if part == "log":
            return PersonForgotten(user_id=person.user_id, messages=changed)
        part = "answers" if part == "letters" else "log"
    return command.model_copy(update={"part": part, "after": progress.after or "", "changed": changed})


async def _forget_part(tx: Transaction, command: ForgetPerson, sought: Sought) -> rows.Progress:
    """The log comes last, for these commands are in it, too."""
    if command.part == "letters":
        return rows.Progress(await rows.forget_in_letters(tx, sought), None)
    if command.part == "answers":
        after = UUID(command.after) if command.after else rows.START
        return await rows.forget_in_answers(tx, sought, after, rows.WINDOW)
    return await rows.forget_in_log(tx, sought, int(command.after or 0), rows.WINDOW)


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


@events.handles(PublishEvents)
async def publish_events(command: PublishEvents, tx: Transaction) -> Reply:
    """Holds CloudEvents of a tenant against their schemas and appends them: all, or none."""
    held = await _held_against_schemas(tx, command.events)
    stored = await append(tx, command.events, expected_version=command.expected_version, schema_versions=held)
    await store.index(
        tx,
        [
            (object_id, place.message_id, tx.tenant_id, tx.correlation_id, event.time or tx.now)
            for event, place in zip(command.events, stored, strict=True)
            if not place.duplicate
            for object_id in rules.objects_named(event.subject, orjson.dumps(event.data))
        ],
    )
    return Reply(
        {
            "events": [
                {
                    "id": event.id, "source": event.source, "type": event.type, "message_id": str(place.message_id),
                    "position": place.position, "stream": place.stream, "version": place.version,
                    "duplicate": place.duplicate,
                }
                for event, place in zip(command.events, stored, strict=True)
            ]
        }
    )  # fmt: skip


async def _held_against_schemas(tx: Transaction, found: Sequence[NewEvent]) -> dict[int, int]:
    """The version of the schema that each event fits, by its index. Raises Invalid that names what does not fit."""
    known = await store.schemas_for(tx, [(event.type, event.schemaversion) for event in found])
    held: dict[int, int] = {}
    problems = []
    for index, event in enumerate(found):
        version, text = known.get((event.type, event.schemaversion), (0, None))
        if text is not None:
            held[index] = version
            problems += [rules.of_event(index, problem) for problem in schemas.breaches(text, event.data)]
        elif event.schemaversion is not None:
            problems.append(rules.unknown_schema(index, event.type, event.schemaversion))
        if len(problems) > schemas.MAX_PROBLEMS:
            break
    if problems:
        first = problems[0]
        raise Invalid(f"{first.field}: {first.message}", code="breaks_schema", fields=problems[: schemas.MAX_PROBLEMS])
    return held


@events.handles(RegisterSchema)
async def register_schema(command: RegisterSchema, tx: Transaction) -> Reply:
    """Registers the next version of a schema, or tells what keeps it from being one."""
    schema, problems = schemas.read(command.json_schema)
    versions = await store.schema_versions(tx, command.event_type)
    mode = command.compatibility or (versions[-1].compatibility if versions else "BACKWARD")
    known = None
    if schema is not None:
        known = next((version for version in versions if version.document == schema), None)
        if known is None:
            problems = schemas.may_follow(mode, [version.document for version in versions], schema)
    version = known.version if known else len(versions) + 1
    answer: dict[str, Any] = {"type": command.event_type, "version": version, "compatibility": mode}
    if command.dry_run:
        told = [problem.model_dump() for problem in problems]
        return Reply({**answer, "compatible": not problems, "known": known is not None, "problems": told})
    if schema is None:
        raise Invalid(problems[0].message, code="invalid_schema", fields=problems)
    if problems:
        message = f"The schema may not follow version {len(versions)} of {command.event_type} ({mode})."
        raise Conflict(message, code="incompatible_schema", fields=problems)
    if known is not None and known.compatibility == mode:
        return Reply(answer)
    if known is None and len(versions) >= schemas.MAX_VERSIONS:
        raise Invalid(f"A type has {schemas.MAX_VERSIONS} versions at most.", code="too_many_versions")
    await store.keep_schema(tx, command.event_type, version, command.json_schema, mode)
    registered = SchemaRegistered(event_type=command.event_type, schema_version=version, compatibility=mode)
    return Reply(answer, registered)
