"""Decisions of the platform's operators about dead letters and replays.

They are rows of a consumer group, which its role alone may touch: each decision opens a connection of that role. None
is a command, so an Idempotency-Key is honoured here: a retried request is decided once and answered alike.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_edge.access import Access
from prog_edge.idempotency import KeyScope, read_key
from prog_edge.platform import Platform
from prog_kit.database import Database


@asynccontextmanager
async def group_database(platform: Platform, group: str) -> AsyncIterator[Database]:
    """A database with the role of a consumer group. `group` is one that exists."""
    database = await Database.connect(platform.settings.database_url, f"prog_{group}", min_size=0, max_size=1)
    try:
        yield database
    finally:
        await database.close()


async def decide(
    request: Request, by: Access, decision: Callable[[], Awaitable[BaseModel]], *, status: int = 200
) -> Response:
    """Takes the decision, once for each Idempotency-Key, and answers with what it returns.

    A client that goes away does not cut a decision short.
    """
    key = read_key(request.headers, required=False) if request.method == "POST" else None
    if key is None:
        return await _taken(decision, status)
    scope = KeyScope(PLATFORM_TENANT_ID, by.caller.user_id, f"{request.method} {request.url.path}", key)
    claimed = await by.platform.idempotency.claim(scope, await request.body())
    if isinstance(claimed, Response):
        return claimed
    response = await _taken(decision, status)
    await by.platform.idempotency.keep(scope, response)
    return response


async def _taken(decision: Callable[[], Awaitable[BaseModel]], status: int) -> Response:
    body = await asyncio.shield(asyncio.ensure_future(decision()))
    return Response(body.model_dump_json().encode(), status, media_type="application/json")
