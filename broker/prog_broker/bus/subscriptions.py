"""Which handler takes what: the subscriptions of a program, gathered a consumer group."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

from prog_contracts.envelope import Envelope
from prog_contracts.messages import Message
from prog_contracts.topics import DOMAINS, Topic
from prog_kit.database import Connection

Start = Literal["beginning", "end"]

_GROUP: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_MAX_RESOLVED: Final = 10_000
"""Types of a topic whose route is remembered: a limit, for anybody may invent a type."""


class Retry(Exception):
    """Raised by a handler: try this message again, after `seconds` where given, else after the usual backoff.

    It counts as a try, as any other exception does.
    """

    def __init__(self, reason: str = "the handler asks for another try", *, seconds: float | None = None) -> None:
        super().__init__(reason)
        self.seconds = seconds


class Drop(Exception):
    """Raised by a handler: this message is of no use, acknowledge it and go on; there is no dead letter."""


@dataclass(slots=True)
class Context:
    """What a handler learns beside the message, when it takes a second argument.

    `fence` grows at every change of the shard's owner: a store that refuses a lower one than it has seen refuses a
    process that was paused and has lost the shard. `attempt` is 1 for the first try.
    """

    group: str
    topic: str
    partition: int
    fence: int
    attempt: int
    envelopes: Sequence[Envelope]
    transaction: Connection | None = None

    @property
    def envelope(self) -> Envelope:
        """The envelope of the message; of a batch, the first one's."""
        return self.envelopes[0]

    @property
    def connection(self) -> Connection:
        """The connection in whose transaction the inbox records this message: what you write here happens once."""
        if self.transaction is None:
            raise RuntimeError("there is no inbox: give the bus one, as in Bus(url, inbox=PostgresInbox(dsn))")
        return self.transaction


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """A handler and what it takes: bodies of one model, or envelopes (`model` is None)."""

    call: Callable[..., Awaitable[None]]
    model: type[Message] | None
    batch: bool
    wants_context: bool
    validate: Callable[[bytes], Any] | None = None

    @property
    def wants_envelopes(self) -> bool:
        return self.model is None or self.wants_context


@dataclass(slots=True)
class Plan:
    """All that one group reads in this program."""

    group: str
    topics: dict[str, Topic] = field(default_factory=dict)
    start: Start = "beginning"
    _typed: dict[str, Route] = field(default_factory=dict)
    _patterns: list[tuple[frozenset[str], str, Route]] = field(default_factory=list)
    _resolved: dict[str, dict[str, Route | None]] = field(default_factory=dict)

    def add(self, topics: Iterable[Topic], types: str, route: Route, start: Start) -> None:
        """Adds a route: of one type, or of all types of `topics` that match the pattern `types`."""
        chosen = {topic.name: topic for topic in topics}
        if self.topics and start != self.start:
            raise ValueError(f"group {self.group!r} starts at the {self.start}; a group has one place to start")
        self.topics.update(chosen)
        self.start = start
        if route.model is None:
            self._patterns.append((frozenset(chosen), types, route))
            return
        if types in self._typed:
            raise ValueError(f"group {self.group!r} has two handlers for {types}")
        self._typed[types] = route

    def resolved(self, topic: str) -> dict[str, Route | None]:
        """The routes of a topic that are known by now, by type. Look here first, then ask `resolve`."""
        return self._resolved.setdefault(topic, {})

    def resolve(self, topic: str, type_name: str) -> Route | None:
        """The route of a type: its own handler, else the first pattern that matches; None when nobody wants it."""
        route = self._typed.get(type_name) or next(
            (r for topics, pattern, r in self._patterns if topic in topics and fnmatchcase(type_name, pattern)), None
        )
        known = self.resolved(topic)
        if len(known) < _MAX_RESOLVED:
            known[type_name] = route
        return route


def checked_group(group: str) -> str:
    """The group's name. Raises ValueError for one that the platform's own consumers have, or that no broker takes."""
    if group in DOMAINS:
        raise ValueError(f"{group!r} is a group of the platform's own; a second reader would take its messages away")
    if not _GROUP.fullmatch(group):
        raise ValueError(f"{group[:80]!r} is no name of a group: a letter, then a-z, 0-9, '-' and '_', 63 at most")
    return group


def route_of(function: Callable[..., Any], model: type[Message] | None, *, batch: bool) -> Route:
    """The route to a handler. Raises TypeError for a function that is not async or takes other arguments."""
    name = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise TypeError(f"{name} must be an async function: declare it with `async def`")
    wanted = [p for p in inspect.signature(function).parameters.values() if p.default is inspect.Parameter.empty]
    if len(wanted) not in (1, 2):
        raise TypeError(f"{name} must take the {'messages' if batch else 'message'}, and perhaps a Context after it")
    if model is None:
        return Route(function, None, batch, len(wanted) == 2)
    return Route(function, model, batch, len(wanted) == 2, model.__pydantic_validator__.validate_json)
