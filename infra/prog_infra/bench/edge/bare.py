"""The bare framework: FastAPI with a model in and out, under the server and settings of the edge, and nothing else.

python -m prog_infra.bench.edge.bare      # with the PROG_… settings of a platform and a port of its own
"""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from prog_edge import process
from prog_edge.drain import Drain
from prog_kit.settings import Settings


class Person(BaseModel):
    """What `GET /v1/me` answers with, more or less."""

    id: str
    email: str
    name: str
    email_verified: bool
    platform_role: str | None
    tenants: list[str]


class Happening(BaseModel):
    specversion: str
    id: str
    source: str
    type: str
    data: dict[str, Any]


PERSON: Final = Person(
    id="user_01jd7z4c8nf3ktv9q2m6x0r5we",
    email="ada@example.com",
    name="Ada Lovelace",
    email_verified=True,
    platform_role=None,
    tenants=["tenant_01jd7z4c8nf3ktv9q2m6x0r5we"],
)


def application(settings: Settings, drain: Drain | None = None) -> FastAPI:
    """Three routes."""
    app = FastAPI(openapi_url=None)

    @app.get("/readyz")
    async def readyz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/bare")
    async def read() -> Person:
        return PERSON

    @app.post("/bare", status_code=201)
    async def write(body: Happening) -> Happening:
        return body

    return app


if __name__ == "__main__":
    process.run(application)
