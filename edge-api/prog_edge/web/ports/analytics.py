"""What the console's page about all tenants needs: figures, none of which tells about a single one (ADR 26)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from prog_edge.web.ports.shared import Viewer

Dimension = Literal["plan", "status", "size", "month"]


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """A group of tenants: at least so many, in steps of the minimum; None is not told."""

    group: str
    tenants: int | None
    mean_members: int | None


@dataclass(frozen=True, slots=True)
class TenantFigures:
    by: Dimension
    minimum: int
    total: GroupFigures
    groups: Sequence[GroupFigures]


class AnalyticsBackend(Protocol):
    async def tenants(self, viewer: Viewer, by: Dimension) -> TenantFigures: ...
