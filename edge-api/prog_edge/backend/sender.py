"""Commands from pages: the id of a form becomes the id of its command, so a second click does nothing twice."""

from __future__ import annotations

import hashlib
from typing import Any, Final
from uuid import UUID

from prog_contracts.errors import Unavailable, from_body
from prog_contracts.ids import encode_id, new_message_id
from prog_contracts.messages import Command
from prog_edge.context import current_context
from prog_edge.limits.commands import Commands
from prog_edge.web.ports import StillWorking
from prog_kit.telemetry import child_traceparent

_TIMESTAMP_BITS: Final = 48


class Sender:
    """Sends commands and returns their results."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def ask(
        self, command: Command, *, tenant_id: str, actor: str | None, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """What the command came to.

        Raises the domain's ProgError when it was refused, TooMuch when the gate did not take it, and StillWorking when
        it is stored and goes on.
        """
        key = None if idempotency_key is None else message_id_of(idempotency_key, actor, command.TYPE)
        answer = await self._commands.request(
            command,
            tenant_id=tenant_id,
            actor=actor,
            message_id=key or new_message_id(),
            traceparent=_traceparent(),
        )
        if answer.status == "pending":
            raise StillWorking(encode_id("operation", answer.message_id))
        if answer.error is not None:
            raise from_body(answer.error)
        if answer.status != "succeeded":
            raise Unavailable("The request was not completed.")
        return answer.result or {}

    async def tell(self, command: Command, *, tenant_id: str, actor: str | None) -> None:
        """Stores the command and does not wait: what comes of it is nothing that its sender may learn, or time."""
        await self._commands.request(
            command, tenant_id=tenant_id, actor=actor, traceparent=_traceparent(), wait_seconds=0.0
        )


def message_id_of(idempotency_key: str, actor: str | None, command_type: str) -> UUID:
    """The message id that stands for a form: a UUIDv7 (RFC 9562) with the form's time and a digest of who sent what.

    Forms carry a UUIDv7 themselves. A key of another form gets an id of version 8, which has no time in it.
    """
    digest = hashlib.sha256("\0".join((idempotency_key, actor or "", command_type)).encode()).digest()
    number = int.from_bytes(digest[:16])
    version = 8
    try:
        form = UUID(idempotency_key)
    except ValueError:
        form = None
    if form is not None and form.version == 7:
        version = 7
        shift = 128 - _TIMESTAMP_BITS
        number = (form.int >> shift << shift) | (number & ((1 << shift) - 1))
    number = number & ~(0xF << 76) | version << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=number)


def _traceparent() -> str:
    """A place in the trace of the request that is being served."""
    context = current_context()
    return child_traceparent(None if context is None else context.traceparent)
