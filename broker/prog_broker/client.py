"""Sending a command and waiting for its answer: what the edge does for every write, and tools for theirs.

No answer is ever "accepted" for a command that only a broker holds: before `pending` is returned the command is in
PostgreSQL's outbox, and the inbox makes the two one.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

import orjson

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole before the first message
from prog_broker import sql
from prog_broker.ports import Publisher
from prog_broker.redis.connection import OUTAGES, Client, reconnect_delay_seconds
from prog_broker.redis.streams import WAKE_CHANNEL, StreamPublisher
from prog_broker.replies import Answer, open_answer
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.errors import Unavailable
from prog_contracts.messages import Command
from prog_contracts.topics import topic_of
from prog_kit import logging
from prog_kit.database import FAILURES, Database
from prog_kit.database import OUTAGES as DATABASE_OUTAGES
from prog_kit.secrets import Sealer, new_token
from prog_kit.tasks import cancelled

log = logging.get("prog_broker.client")

DEFAULT_WAIT_SECONDS: Final = 5.0
MAX_STORED_KEYS: Final = 10_000
"""Keys whose latest stored command is remembered; of more, the oldest are forgotten."""
STORED_ANSWER: Final = """
SELECT message_id AS id, status, result, sealed_result, error FROM bus.inbox
WHERE consumer_group = $1 AND message_id = $2
"""


class CommandClient:
    """Sends commands and hands out their answers. An async context manager; it listens on a channel of its own.

    `client` is Redis, where answers travel whichever broker carries the commands; `publisher` is that broker's, by
    default the same Redis. `database` has a role that may write the command outbox: `prog_edge`.

    Commands with one key keep their order when each is sent after the one before was answered or stored, also while
    the broker comes and goes: what follows a stored command that is not handled yet goes through the outbox behind it.
    """

    def __init__(
        self,
        client: Client,
        database: Database,
        sealer: Sealer,
        *,
        publisher: Publisher | None = None,
        source: str = "/prognetwork/edge",
    ) -> None:
        self._redis = client
        self._publisher = publisher or StreamPublisher(client)
        self._database = database
        self._sealer = sealer
        self._source = source
        self._channel = f"prog.replies.{new_token(12)}"
        self._stored: dict[tuple[str, str], tuple[UUID, str]] = {}
        self._waiting: dict[UUID, set[asyncio.Future[dict[str, Any]]]] = {}
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def __aenter__(self) -> CommandClient:
        self._listener = asyncio.create_task(self._listen())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._listening.wait(), timeout=3)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listener is not None:
            await cancelled([self._listener])

    async def request(
        self,
        command: Command,
        *,
        tenant_id: str,
        actor: str | None = None,
        message_id: UUID | None = None,
        correlation_id: UUID | None = None,
        traceparent: str | None = None,
        wait_seconds: float = DEFAULT_WAIT_SECONDS,
    ) -> Answer:
        """Sends `command` and waits up to `wait_seconds` for what its handler answers.

        `pending` means that it is stored and will be handled. Raises Unavailable when neither the broker nor the
        database takes it: then it was not accepted.
        """
        envelope = wrap(
            command,
            tenant_id=tenant_id,
            source=self._source,
            message_id=message_id,
            correlation_id=correlation_id,
            actor=actor,
            traceparent=traceparent,
            reply_to=self._channel if wait_seconds > 0 else None,
        )
        if wait_seconds <= 0:
            return await self._store(command, envelope)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(envelope.id, set()).add(future)
        try:
            async with asyncio.timeout(wait_seconds):
                if not await self._is_behind(command, envelope):
                    await self._publisher.send([(topic_of(command), envelope)])
                elif (answer := await self._store(command, envelope)).status != "pending":
                    return answer
                fields = await future
            return open_answer(fields, self._sealer)
        except (TimeoutError, Unavailable):
            return await self._store(command, envelope)
        finally:
            waiters = self._waiting.get(envelope.id, set())
            waiters.discard(future)
            if not waiters:
                self._waiting.pop(envelope.id, None)

    async def stored_answer(self, group: str, message_id: UUID, tenant_id: str) -> Answer | None:
        """The answer that rests in the inbox, or None when the command was not handled yet."""
        async with self._database.scope(tenant_id=tenant_id) as connection:
            row = await connection.fetchrow(STORED_ANSWER, group, message_id)
        return None if row is None else open_answer(dict(row), self._sealer)

    async def _is_behind(self, command: Command, envelope: Envelope) -> bool:
        """Whether a command with this key was stored and is not handled yet: sent directly, this one could overtake."""
        place = (topic_of(command).name, envelope.partition_key)
        before = self._stored.get(place)
        if before is None:
            return False
        try:
            if await self.stored_answer(command.domain(), *before) is None:
                return True
        except FAILURES:
            return True  # what the database does not tell, `_store` finds out
        if self._stored.get(place) == before:
            del self._stored[place]
        return False

    async def _store(self, command: Command, envelope: Envelope) -> Answer:
        """Puts the command into the outbox, unless it was handled meanwhile and only the reply was lost."""
        try:
            done = await self.stored_answer(command.domain(), envelope.id, envelope.tenant_id)
            if done is not None:
                return done
            async with self._database.scope(tenant_id=envelope.tenant_id) as connection:
                await connection.execute(
                    sql.STORE_COMMAND,
                    envelope.id,
                    envelope.tenant_id,
                    topic_of(command).name,
                    envelope.partition_key,
                    envelope.attributes().decode(),
                    envelope.data,
                )
        except (OSError, *DATABASE_OUTAGES) as error:
            raise Unavailable("The platform cannot take requests at the moment; try again.") from error
        self._remember(topic_of(command).name, envelope)
        with suppress(*OUTAGES):
            await self._redis.publish(WAKE_CHANNEL, b"1")
        return Answer(envelope.id, "pending")

    def _remember(self, topic: str, envelope: Envelope) -> None:
        place = (topic, envelope.partition_key)
        self._stored.pop(place, None)
        self._stored[place] = (envelope.id, envelope.tenant_id)
        if len(self._stored) > MAX_STORED_KEYS:
            del self._stored[next(iter(self._stored))]

    async def _listen(self) -> None:
        failures = 0
        while True:
            try:
                async with self._redis.pubsub() as pubsub:
                    await pubsub.subscribe(self._channel)
                    async for message in pubsub.listen():
                        if message["type"] == "subscribe":
                            failures = 0
                            self._listening.set()
                        elif message["type"] == "message":
                            self._resolve(message["data"])
            except OUTAGES as error:
                failures += 1
                if failures == 1:
                    log.warning("replies cannot be heard, the broker does not answer", error=str(error))
                await asyncio.sleep(reconnect_delay_seconds(failures))

    def _resolve(self, payload: bytes) -> None:
        fields = orjson.loads(payload)
        for future in self._waiting.get(UUID(fields["id"]), ()):
            if not future.done():
                future.set_result(fields)
