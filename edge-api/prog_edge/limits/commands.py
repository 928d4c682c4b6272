"""The edge's one way to send commands: through the gate, whichever of API, page or session asks."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from uuid import UUID

from prog_broker.client import DEFAULT_WAIT_SECONDS, CommandClient
from prog_broker.replies import Answer
from prog_contracts.ids import new_message_id
from prog_contracts.messages import Command
from prog_edge.audit.feed import AuditFeed
from prog_edge.context import current_context
from prog_edge.limits.admission import Admission, Place


class Commands:
    """Sends what the gate lets through."""

    def __init__(self, client: CommandClient, admission: Admission, audit: AuditFeed) -> None:
        self._client = client
        self._audit = audit
        self.admission = admission

    def admit(
        self, command: Command, tenant_id: str, actor: str | None, *, anyway: bool = False
    ) -> AbstractContextManager[Place]:
        """A place at the gate, for callers with work of their own to do before they send. Raises TooMuch."""
        return self.admission.admit(command, tenant_id, actor, anyway=anyway)

    async def request(
        self,
        command: Command,
        *,
        tenant_id: str,
        actor: str | None = None,
        message_id: UUID | None = None,
        traceparent: str | None = None,
        wait_seconds: float = DEFAULT_WAIT_SECONDS,
        place: Place | None = None,
    ) -> Answer:
        """Sends the command, as `CommandClient.request` does; in a `place` that is held, or takes one. In somebody's
        name it goes out in both persons' (`RequestContext.attributed`), whoever sends it.

        Raises TooMuch when there is none, and Unavailable when neither the broker nor the database takes it.
        """
        context = current_context()
        if context is not None:
            actor = context.attributed(actor)
        with self.admit(command, tenant_id, actor) if place is None else nullcontext():
            message_id = message_id or new_message_id()
            if context is not None:
                self._audit.note(message_id, tenant_id, context)
            answer = await self._client.request(
                command,
                tenant_id=tenant_id,
                actor=actor,
                message_id=message_id,
                traceparent=traceparent,
                wait_seconds=wait_seconds,
            )
        if context is not None and answer.error is not None:
            context.answered_by_command = True
        return answer
