"""What the edge tells the audit trail when it leaves: nothing is lost, and nothing is told twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prog_edge.audit import feed
from prog_edge.audit.denials import Denial
from prog_edge.audit.feed import AuditFeed
from prog_edge.context import RequestContext
from prog_kit.database import Database

CONTEXT = cast("RequestContext", SimpleNamespace(request_id="req_1", trace_id=None, user_agent="agent/1"))


class Slow:
    """A database that commits when it is let to, and what was committed."""

    def __init__(self) -> None:
        self.begun, self.let = asyncio.Event(), asyncio.Event()
        self.committed: list[str] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        written: list[str] = []

        async def execute(query: str, *values: Any) -> None:
            if "audit_intake" in query:
                written.extend(values[3])

        yield SimpleNamespace(execute=execute)
        self.begun.set()
        await self.let.wait()
        self.committed += written


async def test_a_write_under_way_when_the_edge_leaves_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "PERIOD_SECONDS", 0.01)
    database = Slow()
    trail = AuditFeed(cast("Database", database))
    trail.start()
    trail.deny(Denial("tenant_1", "GET /v1/x", "denied"), CONTEXT)
    async with asyncio.timeout(60):
        await database.begun.wait()
        trail.deny(Denial("tenant_1", "GET /v1/y", "denied"), CONTEXT)
        leaving = asyncio.create_task(trail.close())
        await asyncio.sleep(0)
        database.let.set()
        await leaving
    assert sorted(database.committed) == ["GET /v1/x", "GET /v1/y"]
