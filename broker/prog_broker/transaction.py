"""The transaction that a handler works in.

It is bound to one message: the tenant of the message is set for row-level security, `now` is the tenant's clock, and
whatever is sent or scheduled is committed together with the handler's own rows, or not at all.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from prog_broker import sql
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.messages import Command, Message
from prog_contracts.topics import topic_of
from prog_kit.database import Connection, is_open
from prog_kit.secrets import Sealer
from prog_kit.telemetry import child_traceparent

T = TypeVar("T")


class WrongStatement(Exception):
    """A handler's statement that could not even be sent, such as one with too many arguments: a defect, no outage."""


@dataclass(frozen=True, slots=True)
class Timer:
    """A command that the scheduler publishes when the tenant's clock reaches `due_at`."""

    name: str
    due_at: datetime
    envelope: Envelope


@dataclass(slots=True)
class Transaction:
    """One message's view of the database. Made by the runtime; handlers only use it."""

    connection: Connection
    domain: str
    envelope: Envelope
    now: datetime
    sealer: Sealer
    outgoing: list[Envelope] = field(default_factory=list)
    completed: list[tuple[UUID, dict[str, Any] | None]] = field(default_factory=list)
    replaying: bool = False
    """True in a replay: nothing that is sent, scheduled or completed leaves it, and `now` is the message's own time."""
    suppressed: int = 0
    """How many timers a replay has left as they are."""
    appended: bool = False
    """Set by a handler that wrote into the event log itself, so that the relay is told."""

    @property
    def tenant_id(self) -> str:
        return self.envelope.tenant_id

    @property
    def actor(self) -> str | None:
        """Who asked: a person, a key of theirs, or a process (`prog_contracts.actors`)."""
        return self.envelope.actor

    @property
    def message_id(self) -> UUID:
        return self.envelope.id

    @property
    def correlation_id(self) -> UUID:
        return self.envelope.correlation_id

    async def execute(self, query: str, *values: Any) -> str:
        return await self._answer(self.connection.execute(query, *values))

    async def fetch(self, query: str, *values: Any) -> list[asyncpg.Record]:
        return await self._answer(self.connection.fetch(query, *values))

    async def fetchrow(self, query: str, *values: Any) -> asyncpg.Record | None:
        return await self._answer(self.connection.fetchrow(query, *values))

    async def fetchval(self, query: str, *values: Any) -> Any:
        return await self._answer(self.connection.fetchval(query, *values))

    async def alone(self, what: str) -> None:
        """Waits for whoever else of this domain and tenant has asked for the same, and holds up the next until this
        transaction ends: so that what is counted first and taken then never passes its limit."""
        query = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
        await self.execute(query, f"{self.domain} {self.tenant_id} {what}")

    def send(self, message: Message, *, tenant_id: str | None = None) -> UUID:
        """Appends a message to the event log, to be published after the commit; returns its id.

        Returning messages from the handler does the same; this form is for another tenant than the message's own.
        """
        envelope = self.wrap(message, tenant_id=tenant_id)
        self.outgoing.append(envelope)
        return envelope.id

    async def schedule(self, name: str, command: Command, due_at: datetime) -> None:
        """Has `command` published when the tenant's clock reaches `due_at`.

        `name` is unique within tenant and domain, such as `renew:subscription_…`; scheduling it again moves the timer.
        """
        if self.replaying:
            self.suppressed += 1
            return
        envelope = self.wrap(command)
        await self.connection.execute(
            sql.SCHEDULE_TIMER,
            self.tenant_id,
            self.domain,
            name,
            due_at,
            topic_of(command).name,
            envelope.id,
            envelope.attributes().decode(),
            envelope.data,
        )

    async def unschedule(self, name: str) -> bool:
        """Drops a timer that has not fired; tells whether there was one. A replay leaves it and says yes."""
        if self.replaying:
            self.suppressed += 1
            return True
        status = await self.connection.execute(sql.DROP_TIMER, self.tenant_id, self.domain, name)
        return status != "DELETE 0"

    def complete_operation(self, message_id: UUID, result: dict[str, Any] | None) -> None:
        """Completes an earlier command of this domain that was left pending by `Reply(..., pending=True)`."""
        self.completed.append((message_id, result))

    def wrap(self, message: Message, *, tenant_id: str | None = None) -> Envelope:
        """An envelope for `message` as an effect of the message being handled."""
        return wrap(
            message,
            tenant_id=tenant_id or self.tenant_id,
            source=f"/prognetwork/{self.domain}",
            now=self.now,
            correlation_id=self.envelope.correlation_id,
            causation_id=self.envelope.id,
            actor=self.envelope.actor,
            traceparent=child_traceparent(self.envelope.traceparent),
        )

    async def _answer(self, statement: Awaitable[T]) -> T:
        try:
            return await statement
        except asyncpg.InterfaceError as error:
            if is_open(self.connection):
                raise WrongStatement(str(error)) from error
            raise
