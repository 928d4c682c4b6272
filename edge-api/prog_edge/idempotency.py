"""Idempotency-Key (draft-ietf-httpapi-idempotency-key-header-07): a retried request is done once and answered alike.

A key belongs to tenant, actor and route and lives 24 hours. Its row is committed before the command is sent and fixes
the command's message id, so the consumers' inbox guards the same promise: should this process die in between, a retry
sends the same message id again and gets the first one's result. Answers rest sealed, for they may hold credentials;
what is shown once is told again for as long as a network may have lost it, and no longer. What was claimed or kept
under a secret key is known as long as that is one of PROG_SECRET_KEYS, so that a rotation lies between a request and
its retry unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import time
from typing import Final
from uuid import UUID

import orjson
from starlette.responses import Response

from prog_contracts.ids import new_message_id
from prog_edge.problems import Refused
from prog_kit.database import Database
from prog_kit.secrets import Sealer, SealError

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
MAX_KEY_LENGTH: Final = 255
STALE_SECONDS: Final = 5.0
"""A key whose request has no answer after this long may be taken over, for its process may be gone. Should it live,
both wait for one and the same message."""

SHOWN_ONCE_SECONDS: Final = 600
"""So long is an answer told again that holds what is shown once: a retry comes within minutes, a thief later."""

_PURPOSE: Final = "idempotency"
_KEPT_HEADERS: Final = ("content-type", "location", "preference-applied")

_CLAIM: Final = """
INSERT INTO bus.idempotency_keys AS k (tenant_id, actor, route, key, body_digest, message_id)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (tenant_id, actor, route, key) DO UPDATE SET
    body_digest = excluded.body_digest,
    message_id = CASE WHEN k.recorded_at < clock_timestamp() - interval '24 hours'
                      THEN excluded.message_id ELSE k.message_id END,
    status = NULL, answer = NULL, recorded_at = clock_timestamp()
WHERE k.recorded_at < clock_timestamp() - interval '24 hours'
   OR (k.status IS NULL AND k.body_digest = ANY ($8)
       AND k.recorded_at < clock_timestamp() - make_interval(secs => $7))
RETURNING message_id
"""
_FIND: Final = """
SELECT body_digest, status, answer FROM bus.idempotency_keys
WHERE tenant_id = $1 AND actor = $2 AND route = $3 AND key = $4
"""
_HOLDS: Final = """
SELECT EXISTS (
    SELECT FROM bus.idempotency_keys
    WHERE tenant_id = $1 AND actor = $2 AND route = $3 AND key = $4
      AND recorded_at >= clock_timestamp() - interval '24 hours'
)
"""
_KEEP: Final = """
UPDATE bus.idempotency_keys SET status = $5, answer = $6
WHERE tenant_id = $1 AND actor = $2 AND route = $3 AND key = $4
"""


@dataclass(frozen=True, slots=True)
class KeyScope:
    """Where a key is unique."""

    tenant_id: str
    actor: str
    route: str
    key: str


@dataclass(frozen=True, slots=True)
class Claimed:
    """The key is ours: send the command under this id, then keep the answer."""

    message_id: UUID


class IdempotencyKeys:
    """The keys in PostgreSQL."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    async def claim(self, scope: KeyScope, body: bytes) -> Claimed | Response:
        """The right to do the request, or the answer that it had before.

        Raises Refused: 422 when the key was used with another body, 409 while its request is running, and when it is
        done, but its answer held what is not told any more.
        """
        digests = self._sealer.digests(body.hex(), _PURPOSE)
        where = (scope.tenant_id, scope.actor, scope.route, scope.key)
        async with self._database.scope(tenant_id=scope.tenant_id) as connection:
            message_id = await connection.fetchval(_CLAIM, *where, digests[0], new_message_id(), STALE_SECONDS, digests)
            if message_id is not None:
                return Claimed(UUID(str(message_id)))
            row = await connection.fetchrow(_FIND, *where)
        if row is None or row["body_digest"] not in digests:
            raise Refused(422, "idempotency_key_reused", "This Idempotency-Key was used with another body.")
        if row["status"] is None:
            detail = "The first request with this Idempotency-Key is still running."
            raise Refused(409, "idempotency_key_in_use", detail, headers={"Retry-After": "1"})
        return self._replay(row["status"], row["answer"])

    async def holds(self, scope: KeyScope) -> bool:
        """Whether the key was used before, and so is no new request."""
        async with self._database.scope(tenant_id=scope.tenant_id) as connection:
            held: bool = await connection.fetchval(_HOLDS, scope.tenant_id, scope.actor, scope.route, scope.key)
        return held

    async def keep(self, scope: KeyScope, response: Response, *, told_for_seconds: float | None = None) -> None:
        """Remembers the answer. A success is told again for `told_for_seconds` alone, where that is given."""
        kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
        until = None if told_for_seconds is None or response.status_code >= 300 else time() + told_for_seconds
        answer = orjson.dumps({"headers": kept, "body": bytes(response.body).decode(), "until": until}).decode()
        async with self._database.scope(tenant_id=scope.tenant_id) as connection:
            await connection.execute(
                _KEEP,
                scope.tenant_id,
                scope.actor,
                scope.route,
                scope.key,
                response.status_code,
                self._sealer.seal(answer, _PURPOSE),
            )

    def _replay(self, status: int, sealed: str) -> Response:
        try:
            answer = orjson.loads(self._sealer.open(sealed, _PURPOSE))
        except SealError:  # its key is none of PROG_SECRET_KEYS any more
            raise _gone() from None
        until = answer.get("until")
        if until is not None and time() >= until:
            raise _gone()
        headers: dict[str, str] = {**answer["headers"], REPLAYED: "true"}
        return Response(answer["body"].encode(), status, headers)


def _gone() -> Refused:
    detail = (
        "This request was done, and its answer is not told again: it was a file, or held a secret that is shown once."
        " End what was made, and ask anew with another Idempotency-Key."
    )
    return Refused(409, "idempotency_answer_gone", detail)


def read_key(headers: Mapping[str, str], *, required: bool) -> str | None:
    """The request's key, without the quotes that the draft's string form allows.

    Raises Refused (400) when it is missing where required, or unusable.
    """
    raw = headers.get(HEADER)
    if raw is None:
        if required:
            raise Refused(
                400, "idempotency_key_required", "This request moves money: send an Idempotency-Key header with it."
            )
        return None
    key = raw[1:-1] if len(raw) > 1 and raw[0] == raw[-1] == '"' else raw
    if not 0 < len(key) <= MAX_KEY_LENGTH or not key.isascii() or not key.isprintable():
        detail = f"An Idempotency-Key has 1 to {MAX_KEY_LENGTH} printable ASCII characters."
        raise Refused(400, "idempotency_key_invalid", detail)
    return key
