"""The floor under a command: the same edge server, answering a constant after one committed insert.

    python -m prog_infra.bench.floor          # with the PROG_… settings of a platform and a port of its own

It is `prog edge` with one route more, which no other process has. `POST /bench/floor` inserts a row of a tenant's size
over asyncpg, autocommitted; `POST /bench/constant` only answers.
"""

from __future__ import annotations

import asyncio
import os
from typing import Final

import asyncpg
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from prog_contracts.ids import new_id
from prog_edge import process
from prog_edge.app import create_app
from prog_edge.drain import Drain
from prog_kit.settings import Settings

ANSWER: Final = (
    b'{"id":"tenant_01jd7z4c8nf3ktv9q2m6x0r5we","name":"Bench","slug":"bench","status":"provisioning","plan":null,'
    b'"member_count":1,"role":"owner","clock":null,"created_at":"2027-01-01T00:00:00Z"}'
)
TABLE: Final = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.floor (
    tenant_id text PRIMARY KEY,
    name text NOT NULL,
    slug text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
"""
DROP: Final = "DROP SCHEMA IF EXISTS bench CASCADE"
INSERT: Final = "INSERT INTO bench.floor (tenant_id, name, slug) VALUES ($1, $2, $3)"


class Floor:
    """The two routes. One connection is enough: the benchmark asks one thing at a time."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._one_at_a_time = asyncio.Lock()

    async def insert(self, request: Request) -> Response:
        await request.body()
        async with self._one_at_a_time:
            if self._connection is None:
                self._connection = await asyncpg.connect(self._url)
            tenant_id = new_id("tenant")
            await self._connection.execute(INSERT, tenant_id, "Bench", tenant_id)
        return Response(ANSWER, 201, media_type="application/json")

    async def constant(self, request: Request) -> Response:
        await request.body()
        return Response(ANSWER, 201, media_type="application/json")


def application(settings: Settings, drain: Drain | None = None) -> FastAPI:
    """The edge with the floor's routes in front of all others."""
    app = create_app(settings, drain)
    floor = Floor(os.environ["PROG_DATABASE_URL"])
    app.router.routes[:0] = [
        Route("/bench/floor", floor.insert, methods=["POST"]),
        Route("/bench/constant", floor.constant, methods=["POST"]),
    ]
    return app


if __name__ == "__main__":
    process.run(application)
