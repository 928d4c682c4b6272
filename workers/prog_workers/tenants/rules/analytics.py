"""What may be told about many tenants, so that nothing is told about one.

A group of fewer than MINIMUM is not told, nor whether there is anybody in it at all: the groups of a question are the
same, whoever there is. Counts are told in steps of MINIMUM, rounded down, and the total is that of the groups which are
told, so that whoever is in small groups changes nothing in an answer. There are no filters: what two of them would tell
apart is what their difference would tell. A mean is left out where one tenant has more than half of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from prog_contracts.quotas import PLAN_LIMITS

MINIMUM: Final = 5
Dimension = Literal["status", "plan", "size", "month"]
MONTHS: Final = 12
STATUSES: Final = ("provisioning", "active", "suspended", "deleting")
PLANS: Final = ("free", *PLAN_LIMITS, "other")
SIZES: Final[tuple[tuple[str, int], ...]] = (("1", 1), ("2-5", 5), ("6-20", 20), ("21-100", 100), ("more", 2**31))
"""By the number of members: a name, and the most that are in it."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What was counted of a group: tenants, members of all of them, and of the largest."""

    tenants: int = 0
    members: int = 0
    largest: int = 0

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.tenants + other.tenants, self.members + other.members, max(self.largest, other.largest))


@dataclass(frozen=True, slots=True)
class Disclosed:
    """What is told of a group. `tenants` is at least so many, in steps of MINIMUM; None for fewer than that."""

    group: str
    tenants: int | None
    mean_members: int | None


def groups_of(dimension: Dimension, today: date) -> Sequence[str]:
    """The groups of a question, which do not depend on what there is."""
    match dimension:
        case "status":
            return STATUSES
        case "plan":
            return PLANS
        case "size":
            return [name for name, _ in SIZES]
        case "month":
            months = [today.year * 12 + today.month - 1 - back for back in range(MONTHS)]
            return ["earlier", *(f"{month // 12}-{month % 12 + 1:02d}" for month in reversed(months))]


def group_of(dimension: Dimension, value: str | int | date | None, groups: Sequence[str]) -> str:
    """The group that a tenant's value is in."""
    if dimension == "size":
        assert isinstance(value, int)
        return next(name for name, most in SIZES if value <= most)
    if dimension == "month":
        assert isinstance(value, date)
        month = f"{value.year}-{value.month:02d}"
        return month if month in groups else "earlier"
    name = "free" if value is None else str(value).lower()
    return name if name in groups else groups[-1]


def disclosed(counted: Mapping[str, Counted], groups: Sequence[str]) -> tuple[Disclosed, list[Disclosed]]:
    """The total of all groups that may be told, and each group."""
    parts = [_told(group, counted.get(group, Counted())) for group in groups]
    shown = sum((counted[part.group] for part in parts if part.tenants is not None), Counted())
    tenants = sum(part.tenants or 0 for part in parts) or None
    return Disclosed("all", tenants, _told("all", shown).mean_members), parts


def tallied(rows: Iterable[tuple[str, Counted]]) -> dict[str, Counted]:
    found: dict[str, Counted] = {}
    for group, counted in rows:
        found[group] = found.get(group, Counted()) + counted
    return found


def _told(group: str, counted: Counted) -> Disclosed:
    if counted.tenants < MINIMUM:
        return Disclosed(group, None, None)
    dominated = counted.largest * 2 > counted.members
    mean = None if dominated else round(counted.members / counted.tenants)
    return Disclosed(group, counted.tenants // MINIMUM * MINIMUM, mean)
