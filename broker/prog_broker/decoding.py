"""From bytes to something a handler understands, or to the reason why not.

In two steps: attributes first, which say whose turn a message is, and its body when its turn is near. A model takes ten
times the memory of its bytes, and what a processor's cache cannot hold is slow to make, to use and to let go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

from pydantic import ValidationError

from prog_broker.domain import Domain, Registration
from prog_broker.ports import Delivery, Shard
from prog_contracts import ids, upcasting
from prog_contracts.envelope import Envelope
from prog_contracts.errors import ErrorBody, FieldError
from prog_contracts.messages import Message

Gate: TypeAlias = Callable[[Envelope], tuple[str, str] | None]
"""Says why a command may not come in (a code and a reason), or None; see `prog_broker.producers`."""

FORGED: Final = frozenset(
    {"bad_tenant", "unknown_producer", "bad_signature", "forged_tenant", "forbidden_type", "stale"}
)
"""Codes of messages of whose attributes nothing is believed: they leave no trace with the tenant or id they name."""


@dataclass(slots=True)
class Incoming:
    """A message that can be handled, once its body is read. `attempts` counts the tries before this one."""

    delivery: Delivery
    envelope: Envelope
    message: Message | None
    """None until the body is read, and for whoever takes everything as it comes (without a registration)."""
    registration: Registration | None
    attempts: int = 0


@dataclass(slots=True)
class Rejected:
    """A message that this code can never handle. `envelope` is there when at least the attributes are good."""

    delivery: Delivery
    code: str
    reason: str
    envelope: Envelope | None = None
    error: ErrorBody | None = None


@dataclass(slots=True)
class Decoded:
    """A batch, sorted out. `skipped` are events that this group has no handler for."""

    incoming: list[Incoming] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    skipped: list[Delivery] = field(default_factory=list)


def decode_batch(domain: Domain, shard: Shard, deliveries: list[Delivery], gate: Gate | None = None) -> Decoded:
    """Decodes each delivery on its own, so that a bad one costs only itself; commands pass the gate too."""
    decoded = open_batch(domain, shard, deliveries, gate)
    decoded.incoming, broken = read_bodies(decoded.incoming)
    decoded.rejected += broken
    return decoded


def open_batch(domain: Domain, shard: Shard, deliveries: list[Delivery], gate: Gate | None = None) -> Decoded:
    """The first step of `decode_batch`: attributes, gate and handler. Bodies are unread."""
    decoded = Decoded()
    asked = gate if shard.topic.kind == "commands" else None
    for delivery in deliveries:
        result = _open(domain, shard, delivery)
        if isinstance(result, Incoming):
            refusal = None if asked is None else asked(result.envelope)
            if refusal is None:
                decoded.incoming.append(result)
            else:
                decoded.rejected.append(Rejected(delivery, *refusal, result.envelope))
        elif isinstance(result, Rejected):
            decoded.rejected.append(result)
        else:
            decoded.skipped.append(delivery)
    return decoded


def read_bodies(items: Iterable[Incoming]) -> tuple[list[Incoming], list[Rejected]]:
    """The second step: those whose bodies could be read, in order, and those whose could not."""
    readable: list[Incoming] = []
    broken: list[Rejected] = []
    for item in items:
        refused = _read_body(item)
        if refused is None:
            readable.append(item)
        else:
            broken.append(refused)
    return readable, broken


def decode(domain: Domain, shard: Shard, delivery: Delivery) -> Incoming | Rejected | None:
    """One delivery, with its body; None means an event that this group does not handle."""
    opened = _open(domain, shard, delivery)
    return (_read_body(opened) or opened) if isinstance(opened, Incoming) else opened


def _open(domain: Domain, shard: Shard, delivery: Delivery) -> Incoming | Rejected | None:
    try:
        envelope = delivery.envelope()
    except ValueError as error:
        return Rejected(delivery, "undecodable", str(error))
    if not _is_tenant(envelope.tenant_id):
        return Rejected(delivery, "bad_tenant", f"tenantid {envelope.tenant_id[:64]!r} is no tenant id", envelope)
    registration = domain.registrations.get(envelope.type)
    if registration is None:
        if shard.topic.kind == "commands":
            return Rejected(delivery, "unknown_type", f"no handler for {envelope.type[:200]}", envelope)
        return None if domain.catch_all is None else Incoming(delivery, envelope, None, None)
    return Incoming(delivery, envelope, None, registration)


def _read_body(item: Incoming) -> Rejected | None:
    """Makes the message of an opened delivery, or says why it cannot be made."""
    registration = item.registration
    if registration is None:
        return None
    envelope, model = item.envelope, registration.model
    try:
        body = envelope.data
        if envelope.schema_version != model.VERSION:
            body = upcasting.readable(body, envelope.schema_version, model)
        item.message = registration.validate(body)
    except upcasting.UnknownVersion as error:
        return Rejected(item.delivery, "unknown_version", printable(str(error)), envelope)
    except upcasting.UpcastFailed as error:
        broken = ErrorBody(kind="invalid", code="invalid_body", message=printable(str(error)))
        return Rejected(item.delivery, "invalid_body", broken.message, envelope, broken)
    except ValidationError as error:
        told = explain(error)
        return Rejected(item.delivery, "invalid_body", told.message, envelope, told)
    return None


@lru_cache(maxsize=4096)
def _is_tenant(text: str) -> bool:
    return ids.is_id(text) and text.startswith("tenant_")


def printable(text: str) -> str:
    """The text without NUL, which PostgreSQL's text and jsonb cannot hold."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def explain(error: ValidationError) -> ErrorBody:
    """Every field that breaks a body's schema."""
    fields = tuple(
        FieldError(
            field=printable(".".join(str(part) for part in item["loc"])) or "body",
            code=item["type"],
            message=printable(item["msg"]),
        )
        for item in error.errors(include_input=False, include_url=False)[:20]
    )
    told = "; ".join(f"{item.field}: {item.message}" for item in fields[:5])
    return ErrorBody(kind="invalid", code="invalid_body", message=f"The body breaks its schema: {told}", fields=fields)
