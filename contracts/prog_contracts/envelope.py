"""The envelope: CloudEvents 1.0 attributes around a body of bytes, in binary mode.

On Redis a stream entry has the fields `ce` (the attributes as one JSON object) and `data` (the body). On Kafka each
attribute is a header `ce_<name>`, as UTF-8, and the body is the value. The `ce` field is ASCII: other characters are
escaped as JSON does it, so that any JSON parser and any CloudEvents SDK reads the values as they are.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from prog_contracts.errors import Invalid
from prog_contracts.ids import new_message_id
from prog_contracts.messages import Message

MAX_BODY_BYTES: Final = 512 * 1024
"""A larger body is refused where it enters."""

MAX_ATTRIBUTE_BYTES: Final = 512
"""Of one attribute, as UTF-8: they are index keys in PostgreSQL and headers on Kafka."""

_TEXTS: Final = (
    "type", "source", "tenant_id", "partition_key", "subject", "actor", "traceparent", "reply_to", "producer",
    "signature",
)  # fmt: skip


class _Attributes(msgspec.Struct, omit_defaults=True):
    """The wire form of the attributes. Required ones first, as in the CloudEvents specification."""

    specversion: str
    id: UUID
    source: str
    type: str
    time: datetime
    tenantid: str
    correlationid: UUID
    partitionkey: str
    datacontenttype: str = "application/json"
    schemaversion: int = 1
    subject: str | None = None
    causationid: UUID | None = None
    actor: str | None = None
    traceparent: str | None = None
    replyto: str | None = None
    producer: str | None = None
    signature: str | None = None


ATTRIBUTE_NAMES: Final = _Attributes.__struct_fields__
"""The CloudEvents attributes and extensions that we read."""

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Attributes, strict=False)


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way. `data` is the JSON body, `time` the instant on the tenant's clock."""

    id: UUID
    type: str
    source: str
    tenant_id: str
    partition_key: str
    correlation_id: UUID
    time: datetime
    data: bytes
    schema_version: int = 1
    causation_id: UUID | None = None
    subject: str | None = None
    actor: str | None = None
    traceparent: str | None = None
    reply_to: str | None = None
    producer: str | None = None
    signature: str | None = None

    @property
    def domain(self) -> str:
        return self.type.split(".")[1] if self.type.count(".") >= 2 else ""

    def attributes(self) -> bytes:
        """The `ce` field: one JSON object, pure ASCII."""
        encoded = _encoder.encode(
            _Attributes(
                specversion="1.0",
                id=self.id,
                source=self.source,
                type=self.type,
                time=self.time,
                tenantid=self.tenant_id,
                correlationid=self.correlation_id,
                partitionkey=self.partition_key,
                schemaversion=self.schema_version,
                subject=self.subject,
                causationid=self.causation_id,
                actor=self.actor,
                traceparent=self.traceparent,
                replyto=self.reply_to,
                producer=self.producer,
                signature=self.signature,
            )
        )
        return encoded if encoded.isascii() else _escaped(encoded)

    def headers(self) -> list[tuple[str, bytes]]:
        """The attributes as headers of a Kafka record (CloudEvents' Kafka binding): `ce_<name>`, and `content-type`."""
        found = [
            ("ce_specversion", b"1.0"),
            ("ce_id", str(self.id).encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_time", self.time.isoformat().replace("+00:00", "Z").encode()),
            ("ce_tenantid", self.tenant_id.encode()),
            ("ce_correlationid", str(self.correlation_id).encode()),
            ("ce_partitionkey", self.partition_key.encode()),
            ("ce_schemaversion", b"%d" % self.schema_version),
            ("content-type", b"application/json"),
        ]
        if self.subject is not None:
            found.append(("ce_subject", self.subject.encode()))
        if self.causation_id is not None:
            found.append(("ce_causationid", str(self.causation_id).encode()))
        if self.actor is not None:
            found.append(("ce_actor", self.actor.encode()))
        if self.traceparent is not None:
            found.append(("ce_traceparent", self.traceparent.encode()))
        if self.reply_to is not None:
            found.append(("ce_replyto", self.reply_to.encode()))
        if self.producer is not None:
            found.append(("ce_producer", self.producer.encode()))
        if self.signature is not None:
            found.append(("ce_signature", self.signature.encode()))
        return found

    @classmethod
    def parse(cls, attributes: bytes, data: bytes) -> Envelope:
        """The envelope in the fields `ce` and `data`.

        Raises ValueError, naming what is wrong, when the attributes are not CloudEvents 1.0 with our extensions.
        """
        try:
            wire = _decoder.decode(attributes)
        except msgspec.DecodeError as error:
            raise ValueError(f"attributes cannot be read: {error}") from error
        return cls._from(wire, data)

    @classmethod
    def of(cls, attributes: Mapping[str, str], data: bytes) -> Envelope:
        """The envelope of attributes that are texts, as in Kafka's headers. Raises ValueError like `parse`."""
        try:
            wire = msgspec.convert(attributes, _Attributes, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"attributes cannot be read: {error}") from error
        return cls._from(wire, data)

    @classmethod
    def _from(cls, wire: _Attributes, data: bytes) -> Envelope:
        if wire.specversion != "1.0":
            raise ValueError(f"specversion is {wire.specversion!r}, this code reads 1.0")
        if not is_json(wire.datacontenttype):
            raise ValueError(f"datacontenttype is {wire.datacontenttype!r}, this code reads application/json")
        if wire.time.tzinfo is None:
            raise ValueError("time has no offset from UTC")
        if len(data) > MAX_BODY_BYTES:
            raise ValueError(f"the body has {len(data)} bytes, the limit is {MAX_BODY_BYTES}")
        envelope = cls(
            id=wire.id,
            type=wire.type,
            source=wire.source,
            tenant_id=wire.tenantid,
            partition_key=wire.partitionkey,
            correlation_id=wire.correlationid,
            time=wire.time,
            data=data,
            schema_version=wire.schemaversion,
            causation_id=wire.causationid,
            subject=wire.subject,
            actor=wire.actor,
            traceparent=wire.traceparent,
            reply_to=wire.replyto,
            producer=wire.producer,
            signature=wire.signature,
        )
        envelope.check()
        return envelope

    def check(self) -> None:
        """Raises ValueError when an attribute holds a NUL character or is longer than MAX_ATTRIBUTE_BYTES."""
        texts = (
            self.type, self.source, self.tenant_id, self.partition_key, self.subject, self.actor, self.traceparent,
            self.reply_to, self.producer, self.signature,
        )  # fmt: skip
        joined = "".join([text for text in texts if text])
        if len(joined) <= MAX_ATTRIBUTE_BYTES and joined.isascii() and "\0" not in joined:
            return  # one look at all of them together
        for name, text in zip(_TEXTS, texts, strict=True):
            if text is None:
                continue
            if "\0" in text:
                raise ValueError(f"{name} holds a NUL character")
            if len(text.encode()) > MAX_ATTRIBUTE_BYTES:
                raise ValueError(f"{name} has more than {MAX_ATTRIBUTE_BYTES} bytes")

    def json(self) -> dict[str, Any]:
        """Attributes and body as one object, for people and for the API (CloudEvents structured mode)."""
        attributes: dict[str, Any] = msgspec.json.decode(self.attributes())
        attributes["data"] = msgspec.json.decode(self.data)
        return attributes


def is_json(content_type: str) -> bool:
    """Whether a `datacontenttype` is JSON; writers of other languages add parameters, such as a charset."""
    return content_type == "application/json" or content_type.partition(";")[0].strip().lower() == "application/json"


def _escaped(encoded: bytes) -> bytes:
    """The same JSON with every character beyond ASCII as an escape."""
    return json.dumps(msgspec.json.decode(encoded), separators=(",", ":")).encode()


def wrap(
    message: Message,
    *,
    tenant_id: str,
    source: str,
    now: datetime | None = None,
    message_id: UUID | None = None,
    correlation_id: UUID | None = None,
    causation_id: UUID | None = None,
    actor: str | None = None,
    traceparent: str | None = None,
    reply_to: str | None = None,
) -> Envelope:
    """An envelope for `message`.

    A message that starts a story has its own id as correlation id. `now` is the instant on the tenant's clock; without
    one the machine's clock is used, which is right for senders outside the platform. Raises Invalid for a key, subject
    or actor that no envelope can carry.
    """
    identity = message_id or new_message_id()
    envelope = Envelope(
        id=identity,
        type=message.TYPE,
        source=source,
        tenant_id=tenant_id,
        partition_key=message.partition_key or tenant_id,
        correlation_id=correlation_id or identity,
        time=now or datetime.now(UTC),
        data=message.model_dump_json(exclude_none=True).encode(),
        schema_version=message.VERSION,
        causation_id=causation_id,
        subject=message.subject,
        actor=actor,
        traceparent=traceparent,
        reply_to=reply_to,
    )
    try:
        envelope.check()
    except ValueError as error:
        raise Invalid(str(error), code="forbidden_character") from None
    return envelope
