"""A domain's handlers: which function handles which message.

    users = Domain("users")

    @users.handles(RegisterUser)
    async def register_user(command: RegisterUser, tx: Transaction) -> UserCreated: ...

A handler is a function of a message and a transaction that returns events. It never publishes, commits, retries or
acknowledges; the runtime does that once for every handler (`prog_broker.processing`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar, overload

from prog_broker.outcome import Outcome
from prog_broker.transaction import Transaction
from prog_contracts.messages import Command, Event, Message
from prog_contracts.topics import DOMAINS, Topic, consumed_by, topic_of

if TYPE_CHECKING:
    from prog_broker.replaying.selection import Scope
    from prog_kit.database import Connection
    from prog_kit.secrets import Sealer

M = TypeVar("M", bound=Message)
E = TypeVar("E", bound=Event)
C = TypeVar("C", bound=Command)

Handler = Callable[[Any, Transaction], Awaitable[Outcome]]
BatchHandler = Callable[[list[Any], Transaction], Awaitable[Outcome]]
Finish = Callable[[Transaction], Awaitable[Outcome]]
Reset = Callable[["Connection", "Scope"], Awaitable[None]]

ReplayMode = Literal["no", "repeat", "rebuild"]
"""Whether a handler runs in a replay of the event log.

`no`: it is left out, as use cases are: they decide, and what they decided is in the log already. `repeat`: handling a
message again, even after later ones, changes nothing, as an index does. `rebuild`: handling it twice would count twice,
so it runs only in a replay that has reset what it writes.
"""


class Work(Protocol):
    """What a performing function may use before and during its outside call."""

    @property
    def attempt(self) -> int:
        """1 for the first try of this message; a retry counts on."""
        ...

    @property
    def replaying(self) -> bool:
        """True in a replay: the call must be left out."""
        ...

    @property
    def sealer(self) -> Sealer:
        """Opens what the message has sealed."""
        ...

    def look(self) -> AbstractAsyncContextManager[Connection]:
        """A connection without a transaction, which sees no tenant's rows: for one question, in one round trip."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of its own, committed when the block ends: for recording the intent."""
        ...


Performer = Callable[[Any, Work], Awaitable[Finish]]


@dataclass(frozen=True, slots=True)
class Registration:
    """One message type of a domain and what handles it: exactly one of the three functions is set."""

    model: type[Message]
    handler: Handler | None = None
    batch_handler: BatchHandler | None = None
    performer: Performer | None = None
    replay: ReplayMode = "no"
    validate: Callable[[bytes], Message] = field(init=False, repr=False, compare=False)
    """The body of JSON as a message. Raises pydantic.ValidationError. (`model_validate_json` without its wrapping.)"""

    def __post_init__(self) -> None:
        object.__setattr__(self, "validate", self.model.__pydantic_validator__.validate_json)


@dataclass(frozen=True, slots=True)
class TenantRows:
    """A domain's tables with rows of tenants: `deleted` with a tenant, in this order, or `kept`, with the reason."""

    deleted: tuple[str, ...] = ()
    kept: Mapping[str, str] = field(default_factory=dict)


class Domain:
    """The handlers of one domain, which is one consumer group and one database role.

    `linger_seconds` lets a batch of events gather after its first one: for observers, which nobody waits for and which
    gain from larger batches. Commands are taken at once, for somebody may wait for the answer.
    """

    def __init__(self, name: str, *, linger_seconds: float = 0.0) -> None:
        if name not in DOMAINS:
            raise ValueError(f"{name!r} is not one of the domains {', '.join(DOMAINS)}")
        self.name = name
        self.linger_seconds = linger_seconds
        self.registrations: dict[str, Registration] = {}
        self.catch_all: BatchHandler | None = None
        self.catch_all_replay: ReplayMode = "no"
        self.replay_only: dict[str, Registration] = {}
        self.reset: Reset | None = None
        self.started: list[Callable[[Any], Awaitable[None]]] = []
        self.tenant_rows = TenantRows()

    def owns(self, *, deleted: Sequence[str], kept: Mapping[str, str]) -> None:
        """Says what becomes of the domain's rows of a tenant that is deleted (`prog_broker.purging`)."""
        self.tenant_rows = TenantRows(tuple(deleted), dict(kept))

    def handles(
        self, model: type[M], *, replay: ReplayMode = "no"
    ) -> Callable[[Callable[[M, Transaction], Awaitable[Outcome]]], Callable[[M, Transaction], Awaitable[Outcome]]]:
        """Registers the handler of a message type; one a type and domain. `replay`: see `ReplayMode`."""

        def decorate(
            function: Callable[[M, Transaction], Awaitable[Outcome]],
        ) -> Callable[[M, Transaction], Awaitable[Outcome]]:
            self._register(Registration(model, handler=function, replay=replay))
            return function

        return decorate

    def handles_batch(
        self, model: type[M], *, replay: ReplayMode = "no"
    ) -> Callable[
        [Callable[[list[M], Transaction], Awaitable[Outcome]]], Callable[[list[M], Transaction], Awaitable[Outcome]]
    ]:
        """Registers a handler that takes all messages of a type in a batch at once, across tenants, in order."""

        def decorate(
            function: Callable[[list[M], Transaction], Awaitable[Outcome]],
        ) -> Callable[[list[M], Transaction], Awaitable[Outcome]]:
            self._register(Registration(model, batch_handler=function, replay=replay))
            return function

        return decorate

    def performs(
        self, model: type[C]
    ) -> Callable[[Callable[[C, Work], Awaitable[Finish]]], Callable[[C, Work], Awaitable[Finish]]]:
        """Registers a function that makes an outside call for a command, outside of any transaction.

        It records the intent in `work.transaction()`, calls with an idempotency key, and returns a function that
        records the outcome; that one runs in the same transaction as the inbox and the events.
        """

        def decorate(function: Callable[[C, Work], Awaitable[Finish]]) -> Callable[[C, Work], Awaitable[Finish]]:
            self._register(Registration(model, performer=function))
            return function

        return decorate

    @overload
    def observes_everything(self, function: BatchHandler, /) -> BatchHandler: ...

    @overload
    def observes_everything(self, /, *, replay: ReplayMode) -> Callable[[BatchHandler], BatchHandler]: ...

    def observes_everything(
        self, function: BatchHandler | None = None, /, *, replay: ReplayMode = "no"
    ) -> BatchHandler | Callable[[BatchHandler], BatchHandler]:
        """Registers a handler that gets every event the domain's group reads, as envelopes, a batch at a time."""

        def decorate(function: BatchHandler) -> BatchHandler:
            self.catch_all, self.catch_all_replay = function, replay
            return function

        return decorate if function is None else decorate(function)

    def replays(
        self, model: type[E], *, replay: Literal["repeat", "rebuild"]
    ) -> Callable[[Callable[[E, Transaction], Awaitable[Outcome]]], Callable[[E, Transaction], Awaitable[Outcome]]]:
        """Registers a handler that runs in replays alone, for an event of the domain's own.

        Live, a domain writes its projection in the use case that publishes the event; the log keeps the event alone.
        """

        def decorate(
            function: Callable[[E, Transaction], Awaitable[Outcome]],
        ) -> Callable[[E, Transaction], Awaitable[Outcome]]:
            if model.domain() != self.name:
                raise ValueError(f"{model.TYPE} is not of {self.name}; a handler of it takes replay={replay!r}")
            self.replay_only[model.TYPE] = Registration(model, handler=function, replay=replay)
            return function

        return decorate

    def resets(self, function: Reset) -> Reset:
        """Registers the function that empties what the domain's replayable handlers write, for a scope.

        It runs in one transaction with the beginning of the replay, while no live batch of the group is at work. It
        raises Invalid for a scope that it cannot empty by itself.
        """
        self.reset = function
        return function

    def on_start(self, function: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        """Registers a function that is called once with the process's `Resources` before the first message."""
        self.started.append(function)
        return function

    def topics(self) -> list[Topic]:
        """The topics that the topic table lets this domain consume.

        Also those without a handler yet: their entries are acknowledged unread, so that streams can be trimmed.
        """
        return list(consumed_by(self.name))

    def _register(self, registration: Registration) -> None:
        model = registration.model
        topic = topic_of(model)
        if self.name not in topic.consumers:
            raise ValueError(f"{self.name} does not consume {topic.name}; see prog_contracts.topics")
        if model.TYPE in self.registrations:
            raise ValueError(f"{self.name} has two handlers for {model.TYPE}")
        if registration.replay != "no" and not issubclass(model, Event):
            raise ValueError(f"{model.TYPE} is a command: a replay runs events alone")
        self.registrations[model.TYPE] = registration
