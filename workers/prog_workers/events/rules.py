"""Pure decisions of the events domain: which objects a message speaks of, and how messages form a causal story."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from prog_contracts.errors import FieldError

MAX_IDS_PER_MESSAGE: Final = 32
"""A message that names more objects is found through the first ones alone."""

MAX_STORY_NODES: Final = 500

_QUOTED_ID: Final = re.compile(rb'"([a-z](?:[a-z_]{0,61}[a-z])?_[0-7][0-9a-hjkmnp-tv-z]{25})"')

NodeKind = Literal["command", "event", "timer"]
HandlingStatus = Literal["succeeded", "failed", "pending", "retrying", "waiting", "dead", "dropped"]


def objects_named(subject: str | None, body: bytes, limit: int = MAX_IDS_PER_MESSAGE) -> list[str]:
    """The TypeIDs that a message names: its subject first, then those in the JSON body in order, each once.

    The body is not parsed: a TypeID needs no escaping in JSON, so every whole string that has its form is one.
    """
    found: dict[str, None] = {}
    if subject is not None and _QUOTED_ID.fullmatch(f'"{subject}"'.encode()):
        found[subject] = None
    for match in _QUOTED_ID.finditer(body):
        if len(found) >= limit:
            break
        found[match[1].decode("ascii")] = None
    return list(found)


@dataclass(frozen=True, slots=True)
class Handling:
    """What one consumer group made of a message. `error` is the answer of a refused or dead one."""

    group: str
    status: HandlingStatus
    handled_at: datetime | None
    microseconds: int | None
    attempts: int = 1
    error: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class StoryNode:
    """One message of a story and what it caused.

    `occurred_at` is on the tenant's clock, `recorded_at` on the machine's. `body` is None for a command that came in
    through the edge: the inbox keeps that it was handled and how, not what it said.
    """

    message_id: UUID
    kind: NodeKind
    type: str
    tenant_id: str
    correlation_id: UUID
    causation_id: UUID | None
    occurred_at: datetime
    recorded_at: datetime
    subject: str | None = None
    actor: str | None = None
    body: Mapping[str, Any] | None = None
    handled: tuple[Handling, ...] = ()
    children: tuple[StoryNode, ...] = ()

    def walk(self) -> Iterator[StoryNode]:
        """This node and all below it, causes before effects."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield node
            waiting.extend(reversed(node.children))


@dataclass(frozen=True, slots=True)
class Story:
    """The trees that touch an object or that belong to a message's correlation, oldest first.

    `truncated` tells that there is more than the limit let through.
    """

    id: str
    roots: tuple[StoryNode, ...]
    truncated: bool = False

    def walk(self) -> Iterator[StoryNode]:
        for root in self.roots:
            yield from root.walk()


def assemble(story_id: str, nodes: Iterable[StoryNode], *, limit: int = MAX_STORY_NODES) -> Story:
    """Hangs each message under the one that caused it.

    A message whose cause is not among `nodes` begins a tree of its own. The same message given twice counts once, the
    first one wins. Causation has no cycles; should corrupt rows claim one, its earliest message becomes a root, so that
    every message appears exactly once. With more than `limit` messages the oldest are kept.
    """
    by_id: dict[UUID, StoryNode] = {}
    for node in nodes:
        by_id.setdefault(node.message_id, node)
    ordered = sorted(by_id.values(), key=_age)
    kept = {node.message_id: node for node in ordered[:limit]}
    parents = _parents(kept)
    children: dict[UUID | None, list[UUID]] = {}
    for message_id in kept:
        children.setdefault(parents[message_id], []).append(message_id)
    return Story(story_id, _build(kept, children), truncated=len(ordered) > limit)


def _age(node: StoryNode) -> tuple[datetime, UUID]:
    return node.recorded_at, node.message_id


def _parents(nodes: Mapping[UUID, StoryNode]) -> dict[UUID, UUID | None]:
    """The cause of each message, None where a tree begins. `nodes` are oldest first."""
    parents = {
        message_id: node.causation_id if node.causation_id in nodes and node.causation_id != message_id else None
        for message_id, node in nodes.items()
    }
    rooted: set[UUID] = set()
    for message_id in nodes:
        path: dict[UUID, None] = {}
        current: UUID | None = message_id
        while current is not None and current not in rooted and current not in path:
            path[current] = None
            current = parents[current]
        if current is not None and current in path:
            parents[_earliest_of_cycle(current, parents, nodes)] = None
        rooted.update(path)
    return parents


def _earliest_of_cycle(start: UUID, parents: Mapping[UUID, UUID | None], nodes: Mapping[UUID, StoryNode]) -> UUID:
    cycle = [start]
    current = parents[start]
    while current is not None and current != start:
        cycle.append(current)
        current = parents[current]
    return min(cycle, key=lambda message_id: _age(nodes[message_id]))


def _build(nodes: Mapping[UUID, StoryNode], children: Mapping[UUID | None, Sequence[UUID]]) -> tuple[StoryNode, ...]:
    """Bottom up and without recursion: a chain of renewals may be as deep as the limit."""
    order: list[UUID] = []
    waiting = list(children.get(None, ()))
    while waiting:
        message_id = waiting.pop()
        order.append(message_id)
        waiting.extend(children.get(message_id, ()))
    built: dict[UUID, StoryNode] = {}
    for message_id in reversed(order):
        below = tuple(built[child] for child in children.get(message_id, ()))
        built[message_id] = replace(nodes[message_id], children=below)
    return tuple(built[root] for root in children.get(None, ()))


def of_event(index: int, problem: FieldError) -> FieldError:
    """The same problem, said of the event at `index` of a request."""
    return problem.model_copy(update={"field": f"{index}.{problem.field}"})


def unknown_schema(index: int, type_name: str, version: int) -> FieldError:
    message = f"There is no version {version} of the schema of {type_name}."
    return FieldError(field=f"{index}.schemaversion", code="unknown_schema", message=message)
