"""What load balancers, supervisors and Prometheus ask: is it alive, can it serve, how is it doing."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import asyncpg
import orjson
from fastapi import APIRouter, Depends, Request
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from prog_contracts.errors import NotFound
from prog_edge.access import Public, Visit, platform_of
from prog_edge.inside import comes_from_inside

router = APIRouter(tags=["Health"])

PROBE_SECONDS: Final = 2.0


@router.get("/healthz")
async def healthz() -> Response:
    """The process lives."""
    return _answer(200, {"status": "ok"})


@router.get("/readyz")
async def readyz(visit: Annotated[Visit, Depends(Public())]) -> Response:
    """The process can serve: the database answers, and it is not draining.

    A broker that is away is told but turns nobody off: reads go on, and writes are stored and answered with 202.
    """
    database, broker = await asyncio.gather(_database(visit), _broker(visit))
    draining = visit.platform.drain.started
    ready = database == "ok" and not draining
    status = "unavailable" if not ready else "ok" if broker == "ok" else "degraded"
    body = {"status": status, "database": database, "broker": broker, "draining": draining}
    return _answer(200 if ready else 503, body)


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """Metrics of this process in Prometheus' text format.

    For scrapers within PROG_METRICS_NETWORKS that come by themselves; for all others, and for whoever comes through a
    proxy, there is nothing here.
    """
    if not comes_from_inside(request, platform_of(request).settings.metrics_networks):
        raise NotFound("There is nothing at this address.")
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _database(visit: Visit) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await visit.platform.database.pool.fetchval("SELECT 1")
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return "unavailable"
    return "ok"


async def _broker(visit: Visit) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await visit.platform.transport.ping()
    except TimeoutError:
        return "unavailable"
    except visit.platform.transport.outages:
        return "unavailable"
    return "ok"


def _answer(status: int, body: dict[str, object]) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
