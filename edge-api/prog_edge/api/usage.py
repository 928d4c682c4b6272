"""What a tenant may use on its plan, and how much of that it does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import Field

from prog_contracts.errors import NotFound
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Resource, problems
from prog_workers.tenants import queries

router = APIRouter(prefix="/v1/tenants/{tenant_id}", tags=["Tenants"])

Reads = Annotated[Access, Depends(Needs("tenant.read", "path"))]


class Limits(Resource):
    """What a tenant may use, by name; null is without limit. Requests are those of each person and each API key."""

    plan: str | None = Field(description="What the tenant pays for; null is the free plan.")
    limits: Mapping[str, int | None] = Field(
        examples=[
            {"members": 5, "api_keys": 20, "events_per_month": 10000, "custom_domains": 1, "reads_per_minute": 6000}
        ]
    )


class Use(Resource):
    """One limit and how much of it is used."""

    name: Literal["members", "api_keys", "events_per_month", "custom_domains"]
    used: int = Field(
        description="Members count open invitations; API keys are those that are good; custom domains those claimed."
    )
    limit: int | None = Field(description="Null is without limit.")
    percent: int | None = Field(description="Of the limit, rounded down.")
    resets_at: datetime | None = Field(description="When a count by the month begins anew.")


class Usage(Resource):
    plan: str | None
    data: list[Use]


@router.get("/limits", responses=problems(401, 404))
async def get_limits(tenant_id: str, access: Reads) -> Limits:
    """What the tenant may use on its plan, as it was at most a second ago. What is beyond is refused with the limit's
    own code: `member_limit`, `api_key_limit`, `event_limit`, `custom_domain_limit`, and `rate_limited` for requests."""
    found = await access.platform.tenant_limits.get(tenant_id)
    if found is None:
        raise NotFound("There is no such tenant.")
    limits = dict(found.limits)
    for kind in ("reads", "writes"):
        policy = access.platform.rates.quota_of(kind, found.plan)
        limits[f"{kind}_per_minute"] = None if policy is None else policy.quota * 60 // policy.window_seconds
    return Limits(plan=found.plan, limits=limits)


@router.get("/usage", responses=problems(401, 404))
async def get_usage(tenant_id: str, access: Reads) -> Usage:
    """How much of each limit is used now, or this month. The owners are told by mail at 80 and at 100 percent."""
    async with access.newest_rows() as connection:
        tenant = await queries.tenant(connection, tenant_id)
    if tenant is None:
        raise NotFound("There is no such tenant.")
    uses = await access.platform.quotas.uses(tenant_id, tenant.clock_at or datetime.now(UTC))
    return Usage(
        plan=tenant.plan,
        data=[
            Use(name=use.name, used=use.used, limit=use.limit, percent=use.percent, resets_at=use.resets_at)
            for use in uses
        ],
    )
