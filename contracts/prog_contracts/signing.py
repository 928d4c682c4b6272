"""Who sent a command: a producer's name and a signature over what it says.

The signature is HMAC-SHA-256, in hex, under the producer's key (the ASCII bytes of its text). It covers these texts,
each followed by a NUL character, and then the body's bytes:

    producer id type schemaversion source tenantid time partitionkey subject actor correlationid causationid replyto

An attribute that is absent counts as empty; `schemaversion` is 1 where it is not given; ids are their 32 hexadecimal
digits, without hyphens; `time` is in whole microseconds since 1970 (UTC). No attribute may hold a NUL, so no two
messages have the same text. `traceparent` is left out, because whoever carries a message may change it.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Final

import msgspec

from prog_contracts.envelope import Envelope

PLATFORM_PRODUCER: Final = "prognetwork"
"""The name under which the platform's own processes sign."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(number ^ 0x36 for number in range(256))
_OUTER: Final = bytes(number ^ 0x5C for number in range(256))


class SigningKey:
    """A producer's key. Keep one: the part of HMAC (RFC 2104) that depends on the key alone is done once."""

    def __init__(self, producer: str, key: str) -> None:
        self.producer = producer
        secret = key.encode()
        if len(secret) > _BLOCK_BYTES:
            secret = hashlib.sha256(secret).digest()
        padded = secret.ljust(_BLOCK_BYTES, b"\0")
        self._inner = hashlib.sha256(padded.translate(_INNER))
        self._outer = hashlib.sha256(padded.translate(_OUTER))

    def signature(self, envelope: Envelope) -> str:
        """What this producer signs `envelope` with."""
        causation, since = envelope.causation_id, envelope.time - _EPOCH
        head = (
            f"{self.producer}\0{envelope.id.hex}\0{envelope.type}\0{envelope.schema_version}\0{envelope.source}\0"
            f"{envelope.tenant_id}\0{(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds}\0"
            f"{envelope.partition_key}\0{envelope.subject or ''}\0{envelope.actor or ''}\0"
            f"{envelope.correlation_id.hex}\0{causation.hex if causation else ''}\0{envelope.reply_to or ''}\0"
        )
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(head.encode())
        inner.update(envelope.data)
        outer.update(inner.digest())
        return outer.hexdigest()

    def signed(self, envelope: Envelope) -> Envelope:
        """The same envelope with the producer's name and signature."""
        return msgspec.structs.replace(envelope, producer=self.producer, signature=self.signature(envelope))

    def has_signed(self, envelope: Envelope) -> bool:
        """Whether the envelope bears this key's signature, in this producer's name."""
        found = envelope.signature
        if envelope.producer != self.producer or found is None or not found.isascii():
            return False
        return hmac.compare_digest(found, self.signature(envelope))
