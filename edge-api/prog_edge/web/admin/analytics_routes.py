"""The console's page about all tenants. Its figures tell about no single one, to operators either."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import ClassVar, Final, get_args

from fastapi import Depends, Request
from starlette.responses import Response

from prog_edge.web.ports import Dimension, Series, TenantFigures
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import page_router
from prog_edge.web.ui.sessions import Operator, Services, operator

router = page_router("/admin/analytics", dependencies=[Depends(operator)])

_DIMENSIONS: Final[Sequence[Dimension]] = get_args(Dimension)
_TITLES: Final[Mapping[Dimension, str]] = MappingProxyType(
    {"plan": "Plan", "status": "Status", "size": "Size", "month": "Month"}
)
_EARLIER: Final = "earlier"


@dataclass(frozen=True, slots=True)
class AnalyticsPage:
    """`growth` is the chart of the months; None for what is no course of time."""

    template: ClassVar[str] = "admin/analytics.html"
    figures: TenantFigures
    growth: Series | None
    most: int
    titles: Mapping[Dimension, str]


@router.get("")
async def analytics(request: Request, web: Services, viewer: Operator) -> Response:
    wanted = request.query_params.get("by", "")
    by = next((each for each in _DIMENSIONS if each == wanted), _DIMENSIONS[0])
    figures = await web.analytics.tenants(viewer, by)
    most = max((group.tenants or 0 for group in figures.groups), default=0)
    return render(request, AnalyticsPage(figures, _growth(figures), most, _TITLES))


def _growth(figures: TenantFigures) -> Series | None:
    if figures.by != "month":
        return None
    months = [group for group in figures.groups if group.group != _EARLIER]
    times = [datetime.strptime(month.group, "%Y-%m").replace(tzinfo=UTC).timestamp() for month in months]
    return Series(times=times, values={"Tenants made": [month.tenants for month in months]}, unit="tenants")
