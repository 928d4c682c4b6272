"""Requests that were turned away, counted so that whoever sends many cannot fill the trail.

The first of its kind is told at once; what is alike within the next minute is told together at its end, with how many
there were. Beyond a number of different ones in that time, more are told apart by their code alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from prog_contracts.ids import PLATFORM_TENANT_ID

WINDOW: Final = timedelta(seconds=60)
MOST: Final = 1000
"""Different denials at once; a minute of them is at most twice as many entries, however many requests there are."""
MANY: Final = "edge.many_requests"
"""The action of an entry that stands for different requests, of which there were too many."""


@dataclass(frozen=True, slots=True)
class Denial:
    """What makes two denials alike. `tenant_id` is the tenant whose trail tells of it."""

    tenant_id: str
    action: str
    code: str
    permission: str | None = None
    actor_kind: str = "nobody"
    actor: str | None = None
    session_id: str | None = None
    subject: str | None = None
    client_address: str | None = None


@dataclass(frozen=True, slots=True)
class Example:
    """What the first of those alike had besides."""

    request_id: str
    trace_id: str | None
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class Told:
    """An entry to be: `count` alike, from `at` until `until`."""

    denial: Denial
    at: datetime
    until: datetime
    count: int
    example: Example | None


@dataclass(slots=True)
class _Seen:
    until: datetime
    """When its minute is over."""
    told: bool = False
    waiting: Told | None = None


class Denials:
    """Those of one process. It does no I/O and asks no clock."""

    def __init__(self, *, window: timedelta = WINDOW, most: int = MOST) -> None:
        self._window = window
        self._most = most
        self._seen: dict[Denial, _Seen] = {}

    def add(self, denial: Denial, example: Example | None, at: datetime) -> None:
        kept = denial
        if denial not in self._seen and len(self._seen) >= self._most:
            kept, example = Denial(PLATFORM_TENANT_ID, MANY, denial.code), None
        self._put(Told(kept, at, at, 1, example))

    def take(self, now: datetime, *, everything: bool = False) -> list[Told]:
        """What is to be told now: the first of each kind, and the rest of it when its minute is over."""
        found: list[Told] = []
        for denial, seen in list(self._seen.items()):
            over = seen.until <= now
            if seen.waiting is not None and (not seen.told or over or everything):
                found.append(seen.waiting)
                seen.waiting, seen.told = None, True
            if over:
                del self._seen[denial]
        return found

    def put_back(self, told: list[Told]) -> None:
        """What could not be told now: it is told later, together with what has come in since."""
        for each in told:
            self._put(each)

    def _put(self, told: Told) -> None:
        seen = self._seen.get(told.denial)
        if seen is None:
            seen = self._seen[told.denial] = _Seen(told.at + self._window)
        before = seen.waiting
        if before is None:
            seen.waiting = told
        else:
            seen.waiting = replace(
                before,
                at=min(before.at, told.at),
                until=max(before.until, told.until),
                count=before.count + told.count,
                example=before.example or told.example,
            )
