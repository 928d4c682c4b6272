"""The gateway's layers around a small application, without a platform behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound, ProgError, Unavailable
from prog_edge.api.shapes import Body, Paging
from prog_edge.app import layers
from prog_edge.drain import Drain
from prog_edge.refusals import add_handlers
from prog_kit.settings import Settings


class Line(Body):
    quantity: int = Field(ge=1)


class Order(Body):
    name: str = Field(min_length=2)
    lines: tuple[Line, ...] = ()


async def no_page(request: Request, error: ProgError, status: int) -> Response | None:
    return None


@pytest.fixture
def settings() -> Settings:
    return Settings.load(
        {},
        env="test",
        database_url="postgresql://nowhere/none",
        redis_url="redis://nowhere:1",
        secret_keys=("0123456789abcdef" * 4,),
        public_url="https://prog.example",
    )


@pytest.fixture
def drain() -> Drain:
    return Drain()


@pytest.fixture
def app(settings: Settings, drain: Drain) -> FastAPI:
    app = FastAPI(middleware=layers(settings, drain), openapi_url=None, redirect_slashes=False)
    add_handlers(app, no_page)
    raised: dict[str, Exception] = {
        "invalid": Invalid.field("name", "taken", "This name is taken."),
        "denied": Denied("You may not."),
        "unauthenticated": Denied("Who are you?", code="unauthenticated"),
        "not_found": NotFound("Not there."),
        "conflict": Conflict("Not now.", code="already_paid"),
        "unavailable": Unavailable("Not at the moment."),
        "outage": ConnectionRefusedError("no server"),
        "crash": RuntimeError("a secret: hunter2"),
    }

    @app.post("/v1/orders")
    async def create_order(order: Order) -> dict[str, str]:
        return {"name": order.name}

    @app.get("/v1/orders")
    async def list_orders(paging: Annotated[Paging, Query()]) -> dict[str, int]:
        return {"limit": paging.limit}

    @app.get("/v1/raise/{kind}")
    async def raise_error(kind: str) -> None:
        raise raised[kind]

    @app.post("/v1/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    return app


@pytest_asyncio.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="https://prog.example") as client:
        yield client
