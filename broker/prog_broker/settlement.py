"""What becomes of a message that a handler could not settle: a retry row, a place in the line, or a dead letter.

All of it happens in the transaction that also fences, so nothing is put off or buried twice.
"""

from __future__ import annotations

import hashlib
import random
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from prog_broker import sql
from prog_broker.decoding import FORGED, Incoming, Rejected, printable
from prog_broker.ports import Delivery, Shard
from prog_contracts.envelope import Envelope
from prog_contracts.errors import ErrorBody, ProgError
from prog_contracts.ids import PLATFORM_TENANT_ID, is_id, new_message_id
from prog_kit.database import Connection


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter (M. Brooker, "Exponential Backoff And Jitter", AWS blog, 2015)."""

    attempts: int = 8
    base_seconds: float = 0.5
    cap_seconds: float = 300.0

    def delay_seconds(self, attempt: int, chance: random.Random | None = None) -> float:
        """A delay after try number `attempt` (from 1): uniform between 0 and min(cap, base x 2^(attempt-1))."""
        ceiling = min(self.cap_seconds, self.base_seconds * 2.0 ** min(attempt - 1, 32))
        return (chance or random).uniform(0.0, ceiling)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message was not settled."""

    code: str
    reason: str
    error: ErrorBody
    trace: str | None = None
    raised_at: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        if isinstance(error, ProgError):
            fields = [each.model_copy(update={"message": printable(each.message)}) for each in error.fields]
            body = type(error)(printable(error.message), code=error.code, fields=fields).body()
            return cls(error.code, body.message, body)
        frames = traceback.extract_tb(error.__traceback__)
        place = f"{frames[-1].filename.rsplit('/', 1)[-1]}:{frames[-1].name}" if frames else ""
        reason = printable(f"{type(error).__name__}: {error}"[:2000])
        body = ErrorBody(kind="unavailable", code="internal_error", message="The request could not be completed.")
        trace = printable("".join(traceback.format_exception(error))[-20_000:])
        return cls("unexpected_exception", reason, body, trace, place)


async def put_off(connection: Connection, shard: Shard, item: Incoming, failure: Failure, policy: RetryPolicy) -> float:
    """Writes the message into the retry table, due after the policy's delay; returns the delay in seconds."""
    attempt = item.attempts + 1
    delay = policy.delay_seconds(attempt)
    note = orjson.dumps({"code": failure.code, "reason": failure.reason[:500]}).decode()
    await _park(connection, shard, item, attempt, "retry", delay, note)
    return delay


async def wait_behind(connection: Connection, shard: Shard, items: Sequence[Incoming]) -> None:
    """Lines messages up behind one of their key that has failed; one that has a place in the line keeps it."""
    await connection.executemany(sql.WAIT_BEHIND, [_row(shard, item) for item in items])


async def bury(connection: Connection, shard: Shard, item: Incoming, failure: Failure) -> None:
    """Gives the message up: a dead letter with the reason; its key stays parked until somebody decides."""
    envelope = item.envelope
    await _park(connection, shard, item, item.attempts + 1, "dead", 0.0, None)
    await mark_inbox(connection, shard.group, envelope, "dead", failure.error)
    await _write_dead_letter(connection, shard, item.delivery.attributes, item.delivery.data, envelope,
                             item.attempts + 1, failure)  # fmt: skip


async def bury_rejected(connection: Connection, shard: Shard, item: Rejected) -> None:
    """A dead letter for what could never be handled. It had no effect, so its key is not held up."""
    error = item.error or ErrorBody(kind="invalid", code=item.code, message=item.reason)
    if item.envelope is not None and item.code not in FORGED:
        await mark_inbox(connection, shard.group, item.envelope, "failed" if item.error else "dead", error)
    failure = Failure(item.code, item.reason, error)
    envelope = item.envelope
    # The id follows from the message: however often it is delivered, there is one letter about it.
    what = envelope.id.bytes if envelope else hashlib.sha256(item.delivery.attributes + item.delivery.data).digest()
    letter_id = UUID(bytes=hashlib.sha256(f"{shard.group}/{item.code}/".encode() + what).digest()[:16], version=5)
    await _write_dead_letter(
        connection, shard, item.delivery.attributes, item.delivery.data, envelope, 0, failure, letter_id
    )


async def bury_raw(connection: Connection, shard: Shard, delivery: Delivery, message_id: UUID, reason: str) -> None:
    """The last resort: a letter of bytes alone, for a message whose other parts the database refuses."""
    failure = Failure("unstorable", printable(reason[:500]), ErrorBody(kind="invalid", code="unstorable", message=""))
    await connection.execute(sql.CLEAR_RETRY, shard.group, message_id)
    await _write_dead_letter(connection, shard, delivery.attributes, delivery.data, None, 0, failure)


async def mark_inbox(connection: Connection, group: str, envelope: Envelope, status: str, error: ErrorBody) -> None:
    """Records how a message ended that no handler settled."""
    await connection.execute(
        sql.MARK_INBOX,
        group,
        envelope.id,
        envelope.tenant_id,
        envelope.partition_key,
        envelope.type,
        envelope.subject,
        envelope.actor,
        envelope.correlation_id,
        envelope.causation_id,
        envelope.time,
        status,
        error.model_dump_json(),
    )


async def _park(
    connection: Connection, shard: Shard, item: Incoming, attempts: int, state: str, delay: float, note: str | None
) -> None:
    await connection.execute(sql.PUT_OFF, *_row(shard, item), attempts, state, delay, note)


def _row(shard: Shard, item: Incoming) -> tuple[Any, ...]:
    envelope = item.envelope
    return (
        shard.group,
        envelope.id,
        envelope.tenant_id,
        shard.topic.name,
        shard.partition,
        envelope.partition_key,
        item.delivery.attributes.decode(),
        item.delivery.data,
    )


async def _write_dead_letter(
    connection: Connection,
    shard: Shard,
    attributes: bytes,
    data: bytes,
    envelope: Envelope | None,
    attempts: int,
    failure: Failure,
    letter_id: UUID | None = None,
) -> None:
    kind = envelope.type if envelope else ""
    believed = envelope is not None and is_id(envelope.tenant_id) and failure.code not in FORGED
    tenant = envelope.tenant_id if envelope and believed else PLATFORM_TENANT_ID
    cause = "\0".join((shard.group, kind, failure.code, failure.raised_at))
    await connection.execute(
        sql.BURY,
        letter_id or new_message_id(),
        shard.group,
        tenant,
        envelope.id if envelope else None,
        envelope.type[:200] if envelope else None,
        shard.topic.name,
        shard.partition,
        envelope.partition_key if envelope else None,
        envelope.correlation_id if envelope else None,
        attempts,
        failure.code,
        failure.reason[:2000],
        hashlib.sha256(cause.encode()).hexdigest()[:16],
        failure.trace,
        attributes,
        data,
        orjson.dumps(
            {"what": "buried", "attempt": attempts, "code": failure.code, "reason": failure.reason[:500]}
        ).decode(),
    )
