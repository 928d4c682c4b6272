"""How the platform is doing: services and consumers. For the platform's staff."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter, Depends

from prog_edge.access import Access, Staff
from prog_edge.api.shapes import Listing, Resource, problems
from prog_edge.services import services

if TYPE_CHECKING:
    from prog_workers.monitoring.queries import ConsumerOverview

router = APIRouter(prefix="/v1", tags=["Operations"])

Looks = Annotated[Access, Depends(Staff("platform.read"))]


class Service(Resource):
    """A server or process that the platform runs on; `detail` says what is wrong, or what is known."""

    name: str
    status: Literal["ok", "unavailable"]
    detail: str


class Consumer(Resource):
    """One consumer group. Rates and percentiles are of the last window of ten seconds."""

    group: str
    topics: list[str]
    per_second: float
    lag: int
    oldest_seconds: float | None
    p50_milliseconds: float | None
    p95_milliseconds: float | None
    p99_milliseconds: float | None
    handled: int
    refused: int
    retried: int
    dead: int
    dead_letters: int


@router.get("/health/services", responses=problems(401, 403))
async def list_services(access: Looks) -> Listing[Service]:
    """The servers and processes that the platform runs on."""
    found = [
        Service(name=item.name, status="ok" if item.healthy else "unavailable", detail=item.detail)
        for item in await services(access.platform)
    ]
    return Listing(data=found, next_cursor=None)


@router.get("/metrics/consumers", responses=problems(401, 403))
async def list_consumers(access: Looks) -> Listing[Consumer]:
    """Each consumer group's throughput, latency, backlog and dead letters."""
    from prog_workers.monitoring import queries  # brings NumPy, which nothing else in this process needs at start

    async with access.platform.reader.operator() as connection:
        rows = await queries.consumers(connection, datetime.now(UTC))
    return Listing(data=[_consumer(row) for row in rows], next_cursor=None)


def _consumer(row: ConsumerOverview) -> Consumer:
    figures = row.figures
    return Consumer(
        group=row.group,
        topics=list(row.topics),
        per_second=figures.per_second,
        lag=row.lag,
        oldest_seconds=row.oldest_seconds,
        p50_milliseconds=figures.p50_milliseconds,
        p95_milliseconds=figures.p95_milliseconds,
        p99_milliseconds=figures.p99_milliseconds,
        handled=row.handled,
        refused=row.refused,
        retried=row.retried,
        dead=row.dead,
        dead_letters=row.dead_letters,
    )
