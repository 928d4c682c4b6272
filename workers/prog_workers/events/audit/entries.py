"""An entry of the audit trail: what it says, its canonical form, and the hash that binds it to the one before.

The hash is SHA-256 over a prefix that names the format and the canonical form: one JSON object (RFC 8259) in UTF-8 with
its members in the order of their names and nothing between them, every field present, times as RFC 3339 in UTC with
six digits, bytes in hexadecimal. Anybody can compute it from the columns of the row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, Literal
from uuid import UUID

import orjson

Outcome = Literal["success", "failure", "denial"]
ActorKind = Literal["person", "operator", "impersonator", "api_key", "client", "system", "nobody"]
"""`operator`: a person of the platform's staff. `impersonator`: one in somebody else's name. `system`: a process.
`nobody`: somebody who was not signed in."""

FORMAT: Final = 1
BEFORE_THE_FIRST: Final = bytes(32)
"""What the first entry of a chain has as the hash before it."""

SALT_BYTES: Final = 16
_PREFIX: Final = b"prognetwork audit entry\n"
_ORIGIN_PREFIX: Final = b"prognetwork audit origin\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a request came from. It is personal, so the chain has a salted digest of it alone.

    `person` is who can ask for it to be forgotten; None where nobody knows whose it is.
    """

    client_address: str | None
    user_agent: str | None
    person: str | None

    def digest(self, salt: bytes) -> bytes:
        content = {"client_address": self.client_address, "person": self.person, "user_agent": self.user_agent}
        return sha256(_ORIGIN_PREFIX + salt + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What is to become an entry. `at` is on the machine's clock, whatever the tenant's clock says.

    `count` tells how many alike it stands for, the last of them `until`. `message_id` is the event that tells more, or
    the command that was refused; `permission` is what was missing.
    """

    tenant_id: str
    at: datetime
    action: str
    outcome: Outcome
    actor_kind: ActorKind
    until: datetime | None = None
    code: str | None = None
    permission: str | None = None
    actor: str | None = None
    session_id: str | None = None
    subject: str | None = None
    message_id: UUID | None = None
    correlation_id: UUID | None = None
    causation_id: UUID | None = None
    trace_id: str | None = None
    request_id: str | None = None
    count: int = 1
    origin: Origin | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A happening in its place in a chain."""

    tenant_id: str
    sequence: int
    format: int
    at: datetime
    until: datetime | None
    action: str
    outcome: str
    code: str | None
    permission: str | None
    actor_kind: str
    actor: str | None
    session_id: str | None
    subject: str | None
    message_id: UUID | None
    correlation_id: UUID | None
    causation_id: UUID | None
    trace_id: str | None
    request_id: str | None
    count: int
    origin_digest: bytes | None
    previous: bytes

    @classmethod
    def after(cls, sequence: int, previous: bytes, happening: Happening, salt: bytes) -> Entry:
        """The entry of `happening` behind the one with this sequence number and hash."""
        return cls(
            tenant_id=happening.tenant_id,
            sequence=sequence + 1,
            format=FORMAT,
            at=happening.at,
            until=happening.until,
            action=happening.action,
            outcome=happening.outcome,
            code=happening.code,
            permission=happening.permission,
            actor_kind=happening.actor_kind,
            actor=happening.actor,
            session_id=happening.session_id,
            subject=happening.subject,
            message_id=happening.message_id,
            correlation_id=happening.correlation_id,
            causation_id=happening.causation_id,
            trace_id=happening.trace_id,
            request_id=happening.request_id,
            count=happening.count,
            origin_digest=None if happening.origin is None else happening.origin.digest(salt),
            previous=previous,
        )

    def canonical(self) -> bytes:
        """The text that is hashed."""
        content: dict[str, Any] = {
            "action": self.action,
            "actor": self.actor,
            "actor_kind": self.actor_kind,
            "at": _instant(self.at),
            "causation_id": _text(self.causation_id),
            "code": self.code,
            "correlation_id": _text(self.correlation_id),
            "count": self.count,
            "format": self.format,
            "message_id": _text(self.message_id),
            "origin_digest": None if self.origin_digest is None else self.origin_digest.hex(),
            "outcome": self.outcome,
            "permission": self.permission,
            "previous": self.previous.hex(),
            "request_id": self.request_id,
            "sequence": self.sequence,
            "session_id": self.session_id,
            "subject": self.subject,
            "tenant_id": self.tenant_id,
            "trace_id": self.trace_id,
            "until": None if self.until is None else _instant(self.until),
        }
        return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)

    def hash(self) -> bytes:
        """32 bytes."""
        return sha256(_PREFIX + self.canonical()).digest()


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
