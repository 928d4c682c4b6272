"""Figures across tenants, for the platform's staff: aggregates alone, of which none tells about a single tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, ConfigDict, Field

from prog_edge.access import Access, Staff
from prog_edge.api.shapes import Resource, problems
from prog_workers.tenants import queries
from prog_workers.tenants.queries import Disclosed

router = APIRouter(prefix="/v1/analytics", tags=["Analytics"])


class Group(Resource):
    """A group of tenants; what is null is not told."""

    group: str
    tenants: int | None = Field(description="At least so many, in steps of the minimum; null for fewer than that.")
    mean_members: int | None = Field(description="Null where one tenant has more than half of the members.")


class TenantFigures(Resource):
    """Tenants by one property. The groups are always the same, whoever there is."""

    by: Literal["status", "plan", "size", "month"]
    minimum: int = Field(description="Fewer tenants than this are never told of.")
    total: Group
    data: list[Group]


class FiguresQuery(BaseModel):
    model_config = ConfigDict(extra="forbid")

    by: Literal["status", "plan", "size", "month"] = Field(
        "plan", description="`size` is the number of members, `month` the one in which the tenant was made."
    )


@router.get("/tenants", responses=problems(401, 403, 422))
async def count_tenants(
    wanted: Annotated[FiguresQuery, Query()], access: Annotated[Access, Depends(Staff("platform.read"))]
) -> TenantFigures:
    """Count tenants by one property, as a database role that can read neither their names nor their ids.

    There are no filters, and counts come in steps, so that no difference between answers tells about a few tenants.
    """
    async with access.platform.reader.analyst() as connection:
        total, groups = await queries.tenants_by(connection, wanted.by, datetime.now(UTC).date())
    return TenantFigures(
        by=wanted.by, minimum=queries.MINIMUM, total=_shown(total), data=[_shown(group) for group in groups]
    )


def _shown(told: Disclosed) -> Group:
    return Group(group=told.group, tenants=told.tenants, mean_members=told.mean_members)
