"""Operations: commands whose answer was put off. The inbox holds the answer, and who asked; here is remembered where.

A person may look at what they asked for even where they are no member yet (the tenant that is being created) and while
the command is only on its way. That memory is in Redis: losing it costs the time between the two, never a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prog_broker.redis.connection import OUTAGES, Client
from prog_kit.logging import get

_log = get("prog_edge.operations")
_KEPT_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asked for an operation, and in which tenant. `actor` is None for somebody who was not signed in."""

    tenant_id: str
    actor: str | None


class Operations:
    """Who asked for what, for a day."""

    def __init__(self, redis: Client) -> None:
        self._redis = redis

    async def remember(self, message_id: UUID, tenant_id: str, actor: str | None) -> None:
        try:
            await self._redis.set(_key(message_id), f"{tenant_id} {actor or ''}".encode(), ex=_KEPT_SECONDS)
        except OUTAGES as error:
            _log.warning("operation not remembered", operation=str(message_id), error=str(error))

    async def find(self, message_id: UUID) -> Asked | None:
        try:
            value: bytes | None = await self._redis.get(_key(message_id))  # type: ignore[assignment]  # bytes in, bytes out
        except OUTAGES:
            return None
        if value is None:
            return None
        tenant_id, _, actor = value.decode().partition(" ")
        return Asked(tenant_id, actor or None)


def _key(message_id: UUID) -> str:
    return f"prog:edge:operation:{message_id}"
