"""`Bus`: a program of your own on the platform's topics."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Self, TypeVar
from uuid import UUID

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole before the first message
from prog_broker.bus.brokers import Reader, open_broker
from prog_broker.bus.delivering import Deliverer, wait_any
from prog_broker.bus.inbox import PostgresInbox
from prog_broker.bus.redis import ReadingOptions
from prog_broker.bus.subscriptions import Plan, Start, checked_group, route_of
from prog_broker.producers import SigningPublisher
from prog_broker.redis.connection import reconnect_delay_seconds
from prog_broker.replies import Answer
from prog_broker.settlement import RetryPolicy
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.errors import Denied, ErrorBody, Unavailable
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.messages import Command, Message
from prog_contracts.topics import TOPICS, Topic
from prog_kit import logging
from prog_kit.secrets import new_token
from prog_kit.tasks import cancelled

log = logging.get("prog_broker.bus")

M = TypeVar("M", bound=Message)
F = TypeVar("F", bound=Callable[..., Awaitable[None]])

_CHUNK: Final = 125
"""Messages in one send of `publish_many`: while the broker takes them, the next are made."""
_TURN: Final = 25
"""Messages that `publish_many` makes before others have their turn on the loop, the send on its way above all."""
_PATIENCE_SECONDS: Final = 10.0


class Bus(AbstractAsyncContextManager["Bus"]):
    """Publishes to the platform's topics and consumes from them, with the broker alone.

    `url` is the broker's, `redis://…` or `kafka://host:9092,host:9092`; by default what PROG_BROKER_URL, else
    PROG_REDIS_URL says. On Kafka answers to `request` travel over Redis, at `signals_url` or PROG_REDIS_URL. `source`
    names this program in what it publishes. `run()` serves the subscriptions until SIGTERM or SIGINT; to publish only,
    `async with Bus(url) as bus`.

    To publish commands a program has to be known: `producer` and `producer_key` are what `prog producers add` has made
    and printed.

    What a group of yours may rely on:

    - **At least once.** A message is acknowledged after its handler has returned. A process that dies leaves its
      messages to another one within two seconds of its lease's end (`lease_seconds`; on Kafka the session's, 6 at
      least). With `inbox`, effects are once:
      the message's id is recorded in the transaction of `context.connection`.
    - **Order per key.** One process a shard at a time, by a lease on Redis' clock or by Kafka's assignment; it handles
      them one after the other. A process that was paused and has lost the shard ends its batch and cannot move
      the position.
    - **A failing message is tried again in place**, `attempts` times in all, with exponential backoff and full jitter
      between `retry_base_seconds` and `retry_cap_seconds`. Then it becomes a dead letter and the shard goes on; so does
      a message that cannot be understood, at once. Raise `Retry` to ask for another try, `Drop` to give up silently.
    - **Dead letters** are on the topic `prog.<group>.dead` (on Redis the stream `prog.<group>.dead.0`) for 14 days: the
      message as it was, and why it was given up as JSON in the field (on Kafka the header) `dead`.
    - **Nothing is missed**: a new group begins at the beginning of what the broker holds, or with `start="end"` now. A
      broker waits for nobody without an end: Kafka keeps a message for its retention, Redis for 14 days more.
    - **Bounded memory**: at most `batch_size` messages a shard, read when those before them are settled.
    - **The broker may be away**, at the start or later: it is waited for, with jittered backoff.
    - **A stop is clean**: on SIGTERM the message at work is finished (up to `drain_seconds`), acknowledged, and the
      shards are given back.

    A group is one program: all its processes have the same subscriptions, and share the shards. A type that the group
    reads a topic of, and has no handler for, is acknowledged unread.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        source: str = "/bus",
        topics: Iterable[Topic] = (),
        inbox: PostgresInbox | None = None,
        attempts: int = 5,
        retry_base_seconds: float = 0.5,
        retry_cap_seconds: float = 30.0,
        batch_size: int = 500,
        lease_seconds: float = 5.0,
        drain_seconds: float = 20.0,
        name: str | None = None,
        producer: str | None = None,
        producer_key: str | None = None,
        kafka_topic_prefix: str = "",
        signals_url: str | None = None,
    ) -> None:
        self.topics = {**TOPICS, **{topic.name: topic for topic in topics}}
        redis = os.environ.get("PROG_REDIS_URL") or None
        self._broker = open_broker(
            url or os.environ.get("PROG_BROKER_URL") or redis or "",
            topic_prefix=kafka_topic_prefix,
            signals_url=signals_url or redis,
        )
        self._source = source
        self._inbox = inbox
        self._policy = RetryPolicy(attempts, retry_base_seconds, retry_cap_seconds)
        self._options = ReadingOptions(name or f"{source}-{new_token(6)}", batch_size, lease_seconds, drain_seconds)
        self._plans: dict[str, Plan] = {}
        self._publisher = self._broker.publisher
        self._known = producer is not None and producer_key is not None
        if producer is not None and producer_key is not None:
            self._publisher = SigningPublisher(self._publisher, producer, producer_key)
        self._readers: list[Reader] = []
        self.stopping = asyncio.Event()

    # -- publishing ----------------------------------------------------------------------------------------------------

    async def publish(
        self,
        message: Message,
        *,
        tenant_id: str = PLATFORM_TENANT_ID,
        actor: str | None = None,
        message_id: UUID | None = None,
        correlation_id: UUID | None = None,
        causation_id: UUID | None = None,
        traceparent: str | None = None,
        wait_seconds: float = _PATIENCE_SECONDS,
    ) -> UUID:
        """Puts a message on its topic; returns its id when the broker holds it.

        The same `message_id` is handled once by the platform's consumers, so a publication that may have failed can be
        repeated. Raises Unavailable when the broker does not answer within `wait_seconds`, Invalid for a message that
        no envelope can carry, and Denied for a command when the bus has no producer's key.
        """
        envelope = wrap(
            message,
            tenant_id=tenant_id,
            source=self._source,
            message_id=message_id,
            correlation_id=correlation_id,
            causation_id=causation_id,
            actor=actor,
            traceparent=traceparent,
        )
        await self._send([(self._topic_of(message), envelope)], wait_seconds)
        return envelope.id

    async def publish_many(
        self,
        messages: Iterable[Message | tuple[Message, str]],
        *,
        tenant_id: str = PLATFORM_TENANT_ID,
        actor: str | None = None,
        wait_seconds: float = _PATIENCE_SECONDS,
    ) -> list[UUID]:
        """Publishes in order, many a round trip; a pair names a message's own tenant. Returns the ids.

        Raises as `publish` does; some may then be published.
        """
        ids: list[UUID] = []
        chunk: list[tuple[Topic, Envelope]] = []
        sending: asyncio.Task[None] | None = None
        try:
            for item in messages:
                message, tenant = item if isinstance(item, tuple) else (item, tenant_id)
                envelope = wrap(message, tenant_id=tenant, source=self._source, actor=actor)
                chunk.append((self._topic_of(message), envelope))
                ids.append(envelope.id)
                if len(chunk) == _CHUNK:
                    if sending is not None:
                        await sending  # one after the other: a part that failed must not be overtaken
                    sending, chunk = asyncio.create_task(self._send(chunk, wait_seconds)), []
                if len(ids) % _TURN == 0:
                    await asyncio.sleep(0)
            if sending is not None:
                await sending
            if chunk:
                await self._send(chunk, wait_seconds)
        except BaseException:
            if sending is not None:
                await cancelled([sending])
                sending.cancelled() or sending.exception()  # heard: what is raised here came first
            raise
        return ids

    async def request(
        self,
        command: Command,
        *,
        tenant_id: str = PLATFORM_TENANT_ID,
        actor: str | None = None,
        message_id: UUID | None = None,
        wait_seconds: float = 5.0,
    ) -> Answer:
        """Sends a command and waits up to `wait_seconds` for what its handler answers.

        `pending` means that the broker holds the command and nobody has answered yet. A result that the platform seals
        (credentials) is None here. Raises Unavailable when the broker does not take the command.
        """
        replies = self._broker.replies()
        envelope = wrap(
            command,
            tenant_id=tenant_id,
            source=self._source,
            message_id=message_id,
            actor=actor,
            reply_to=replies.channel,
        )
        identity = str(envelope.id)
        answer = await replies.expect(identity)
        try:
            await self._send([(self._topic_of(command), envelope)], wait_seconds)
            fields = await asyncio.wait_for(answer, wait_seconds)
        except TimeoutError:
            return Answer(envelope.id, "pending")
        finally:
            replies.forget(identity)
        error = fields.get("error")
        return Answer(
            envelope.id, fields["status"], fields.get("result"), error and ErrorBody.model_validate(error)
        )  # fmt: skip

    # -- subscribing ---------------------------------------------------------------------------------------------------

    def subscribe(self, model: type[M], *, group: str, start: Start = "beginning") -> Callable[[F], F]:
        """Registers a handler for one message at a time: `async def handler(message)`, or `(message, context)`."""
        return self._register(model, group, start, batch=False)

    def subscribe_batch(self, model: type[M], *, group: str, start: Start = "beginning") -> Callable[[F], F]:
        """Registers a handler for neighbouring messages at once: `async def handler(messages: list[M])`.

        When it raises, its messages are run again one by one, as lists of one, so that a bad one costs only itself.
        """
        return self._register(model, group, start, batch=True)

    def subscribe_topic(
        self, *topics: str, group: str, types: str = "*", start: Start = "beginning"
    ) -> Callable[[F], F]:
        """Registers a handler of envelopes, of all messages on `topics` whose type matches the pattern `types`.

        `prog.<group>.dead` is a topic too. A type with a handler of its own in this group goes there instead.
        """
        chosen = [self._named(name) for name in topics]
        return self._register_envelopes(chosen, types, group, start)

    def subscribe_types(self, types: str, *, group: str, start: Start = "beginning") -> Callable[[F], F]:
        """Registers a handler of the envelopes of all events whose type matches, such as `prognetwork.payments.*`."""
        _, _, rest = types.partition(".")
        domain = rest.partition(".")[0]
        events = [topic for topic in self.topics.values() if topic.kind == "events"]
        chosen = [topic for topic in events if topic.domain == domain] or events
        return self._register_envelopes(chosen, types, group, start)

    # -- running -------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serves the subscriptions until SIGTERM or SIGINT, or until `stopping` is set; then finishes and closes."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)
        try:
            async with self:
                await self.start()
                await self.stopping.wait()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def start(self) -> None:
        """Begins to serve the subscriptions, waiting for the broker and the inbox; `close` ends it."""
        if self._inbox is not None:
            await self._opened(self._inbox)
        for plan in self._plans.values():
            reader = self._broker.reader(plan, Deliverer(plan, self._policy, self._inbox), self._options)
            self._readers.append(reader)
            if not await self._unless_stopping(reader.start()):
                return
        log.info("ready", groups=sorted(self._plans))

    async def close(self) -> None:
        """Finishes what is at work, gives the shards back and closes the connections."""
        self.stopping.set()
        await asyncio.gather(*(reader.stop() for reader in self._readers))
        self._readers.clear()
        if self._inbox is not None:
            await self._inbox.close()
        await self._broker.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # ------------------------------------------------------------------------------------------------------------------

    async def _send(self, envelopes: Sequence[tuple[Topic, Envelope]], wait_seconds: float) -> None:
        """Sends, again and again while the broker is away: the ids make a second time harmless."""
        if not self._known and any(topic.kind == "commands" and topic.name in TOPICS for topic, _ in envelopes):
            raise Denied(
                "the platform takes commands from known producers alone: make this one known with"
                " `prog producers add`, and give the bus its name and key",
                code="unknown_producer",
            )
        deadline = asyncio.get_running_loop().time() + wait_seconds
        failures = 0
        while True:
            try:
                await self._publisher.send(envelopes)
                return
            except Unavailable:
                failures += 1
                delay = reconnect_delay_seconds(failures)
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise
                await asyncio.sleep(delay)

    async def _opened(self, inbox: PostgresInbox) -> None:
        failures = 0
        while not self.stopping.is_set():
            try:
                await inbox.open()
                return
            except inbox.OUTAGES as error:
                failures += 1
                if failures == 1:
                    log.warning("waiting for the inbox's database", error=str(error))
                await wait_any(self.stopping, reconnect_delay_seconds(failures))

    async def _unless_stopping(self, work: Any) -> bool:
        """Waits for `work`, or leaves it when the program is told to stop; tells whether it was done."""
        task, told = asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.wait())
        await asyncio.wait({task, told}, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        if not task.done():
            await cancelled([task])
            return False
        task.result()
        return True

    def _register(self, model: type[Message], group: str, start: Start, *, batch: bool) -> Callable[[F], F]:
        topic = self._topic_of(model)
        if topic.kind == "commands" and topic.name in TOPICS:
            raise ValueError(f"{model.TYPE} is a command: its own domain handles it, nobody subscribes to it")

        def decorate(function: F) -> F:
            self._plan(group).add([topic], model.TYPE, route_of(function, model, batch=batch), start)
            return function

        return decorate

    def _register_envelopes(self, topics: list[Topic], types: str, group: str, start: Start) -> Callable[[F], F]:
        def decorate(function: F) -> F:
            self._plan(group).add(topics, types, route_of(function, None, batch=False), start)
            return function

        return decorate

    def _plan(self, group: str) -> Plan:
        return self._plans.setdefault(checked_group(group), Plan(group))

    def _topic_of(self, message: Message | type[Message]) -> Topic:
        cls = message if isinstance(message, type) else type(message)
        kind = "commands" if issubclass(cls, Command) else "events"
        name = f"prog.{cls.domain()}.{kind}"
        if name not in self.topics:
            raise ValueError(f"there is no topic {name}; name your own with Bus(url, topics=[Topic(…)])")
        return self.topics[name]

    def _named(self, name: str) -> Topic:
        if name in self.topics:
            return self.topics[name]
        parts = name.split(".")
        if len(parts) == 3 and parts[0] == "prog" and parts[2] == "dead":
            return Topic(checked_group(parts[1]), "dead", partitions=1, retention_hours=24 * 14, consumers=())
        raise ValueError(f"there is no topic {name}; `prog asyncapi` lists them")
