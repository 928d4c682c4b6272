"""Sample data behind the page about all tenants."""

from __future__ import annotations

from dataclasses import dataclass, field

from prog_edge.web.ports import Dimension, GroupFigures, TenantFigures, Viewer

_GROUPS: dict[Dimension, list[GroupFigures]] = {
    "plan": [GroupFigures("free", 120, 2), GroupFigures("starter", 45, None), GroupFigures("scale", None, None)],
    "status": [GroupFigures("active", 160, 4), GroupFigures("suspended", None, None)],
    "size": [GroupFigures("1", 80, 1), GroupFigures("2-5", 60, 3)],
    "month": [
        GroupFigures("earlier", 90, 5),
        *(
            GroupFigures(f"2026-{month:02d}", *((None, None) if month == 3 else (5 * month, 3)))
            for month in range(1, 12)
        ),
    ],
}


@dataclass
class SampleAnalytics:
    asked: list[Dimension] = field(default_factory=list)

    async def tenants(self, viewer: Viewer, by: Dimension) -> TenantFigures:
        self.asked.append(by)
        return TenantFigures(by, 5, GroupFigures("all", 165, 3), _GROUPS[by])
