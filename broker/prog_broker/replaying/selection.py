"""Which messages a replay runs: what its scope asks for, of what the group's handlers allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from prog_contracts.errors import Invalid
from prog_contracts.messages import Event
from prog_contracts.topics import consumed_by
from prog_kit.pages import Where

if TYPE_CHECKING:
    from prog_broker.domain import Domain, ReplayMode

Modes: TypeAlias = Mapping[str, "ReplayMode"]
"""For each event type that a group handles, whether it may run again; EVERY_OTHER for those without a handler."""

EVERY_OTHER: Final = "*"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a replay covers; what is empty or None limits nothing. Positions and `from_time` are inclusive."""

    types: tuple[str, ...] = ()
    tenant_id: str | None = None
    subject: str | None = None
    stream: str | None = None
    from_position: int | None = None
    to_position: int | None = None
    from_time: datetime | None = None
    to_time: datetime | None = None

    @property
    def is_range(self) -> bool:
        """Whether it begins after the beginning of the log or ends before its end."""
        return any(bound is not None for bound in (self.from_position, self.to_position, self.from_time, self.to_time))

    def check(self) -> None:
        """Raises Invalid for a range that ends before it begins."""
        for name, lower, upper in (
            ("to_position", self.from_position, self.to_position),
            ("to_time", self.from_time, self.to_time),
        ):
            if lower is not None and upper is not None and lower > upper:  # type: ignore[operator]  # of one kind
                raise Invalid.field(name, "range_ends_before_it_begins", f"The range ends ({upper}) before it begins.")

    def narrow(self, where: Where) -> None:
        """Adds the scope's conditions on rows of the event log."""
        if self.types:
            where.add("type = ANY ({}::text[])", list(self.types))
        for condition, value in (
            ("tenant_id = {}", self.tenant_id),
            ("subject = {}", self.subject),
            ("stream = {}", self.stream),
            ("position >= {}", self.from_position),
            ("position <= {}", self.to_position),
            ("recorded_at >= {}", self.from_time),
            ("recorded_at < {}", self.to_time),
        ):
            if value is not None:
                where.add(condition, value)


def modes_of(domain: Domain) -> dict[str, ReplayMode]:
    """What a domain's handlers allow."""
    modes: dict[str, ReplayMode] = {
        item.model.TYPE: item.replay for item in domain.registrations.values() if issubclass(item.model, Event)
    }
    modes |= {item.model.TYPE: item.replay for item in domain.replay_only.values()}
    if domain.catch_all is not None:
        modes[EVERY_OTHER] = domain.catch_all_replay
    return modes


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows of the event log that one replay runs."""

    group: str
    scope: Scope
    modes: Modes
    rebuild: bool

    def check(self) -> None:
        """Raises Invalid when the group can replay nothing of what is asked for, and says why."""
        self.scope.check()
        if not any(mode != "no" for mode in self.modes.values()):
            raise Invalid(
                f"Nothing of {self.group} can be replayed: its handlers are use cases, which decide and act.",
                code="not_replayable",
            )
        if self.rebuild and self.scope.is_range:
            raise Invalid(
                "A reset empties the projection, so its replay runs from beginning to end: leave out the range.",
                code="reset_needs_everything",
            )
        for name in self.scope.types:
            if self._mode(name) == "no":
                raise Invalid.field("types", "not_replayable", f"{self.group} does not replay {name}.")
        chosen: Iterable[str] = self.scope.types or self.modes
        adding = sorted({name for name in chosen if self._mode(name) == "rebuild"})
        if adding and not self.rebuild:
            told = ", ".join("every event" if name == EVERY_OTHER else name for name in adding)
            raise Invalid(
                f"What {self.group} makes of {told} adds up, and running it again would count twice: replay with a"
                " reset, or choose other types.",
                code="needs_reset",
            )

    def where(self) -> Where:
        """The conditions on rows of bus.event_log, with their values."""
        allowed = {"repeat", "rebuild"} if self.rebuild else {"repeat"}
        own = [name for name, mode in self.modes.items() if name != EVERY_OTHER and mode in allowed]
        where = Where()
        where.add("kind = 'event'")
        if self.modes.get(EVERY_OTHER) in allowed:
            left_out = [name for name, mode in self.modes.items() if name != EVERY_OTHER and mode not in allowed]
            topics = [topic.name for topic in consumed_by(self.group) if topic.kind == "events"]
            where.add(
                "(type = ANY ({}::text[]) OR (topic = ANY ({}::text[]) AND type <> ALL ({}::text[])))",
                own, topics, left_out,
            )  # fmt: skip
        else:
            where.add("type = ANY ({}::text[])", own)
        self.scope.narrow(where)
        return where

    def _mode(self, name: str) -> Any:
        return self.modes.get(name, self.modes.get(EVERY_OTHER, "no"))
