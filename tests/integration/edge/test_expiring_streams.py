"""An open stream gives nothing any more from the moment on at which the credential ends that opened it, also between
two looks at whether the credential is good still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from prog_edge import sse
from tests.integration.edge.relying import register
from tests.integration.edge.stage import Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

RENAMED = "prognetwork.tenants.tenant_updated"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def owner(stage: Stage) -> Person:
    owner = await stage.person("owner@expiring.example")
    await stage.tenant_of(owner, "Expiring Ltd")
    return owner


@pytest.fixture(autouse=True)
def no_heartbeat(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks whether the credential is good still."""
    monkeypatch.setattr(stage.platform, "heartbeat_seconds", 600.0)


@asynccontextmanager
async def following(owner: Person, token: str) -> AsyncIterator[tuple[asyncio.Task[None], list[str]]]:
    """The reading of a stream, which is done when that ends, and the lines that have come."""
    lines: list[str] = []

    async def read() -> None:
        headers = {"Authorization": f"Bearer {token}"}
        address = f"/v1/events/stream?types={RENAMED}"
        async with owner.stage.http.stream("GET", address, headers=headers) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                lines.append(line)  # noqa: PERF401 - each is looked at as it comes

    reading = asyncio.create_task(read())
    try:
        await wait_until(lambda: ": connected" in lines, within_seconds=20, what="the stream")
        yield reading, lines
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def rename(owner: Person, name: str) -> None:
    answer = await owner.request("PATCH", f"/v1/tenants/{owner.tenant_id}", json={"name": name})
    assert answer.status_code == 200, answer.text


async def assert_it_ends_with(owner: Person, token: str, ends: datetime, monkeypatch: pytest.MonkeyPatch) -> None:
    at = ends.timestamp() - 1
    monkeypatch.setattr(sse, "time", lambda: at)
    async with following(owner, token) as (reading, lines):
        await rename(owner, "Before the end")
        await wait_until(lambda: "Before the end" in str(lines), within_seconds=20, what="the last event")
        at = ends.timestamp()
        await rename(owner, "After the end")
        await asyncio.wait_for(asyncio.shield(reading), 20)
    assert "After the end" not in str(lines)


async def test_check_17_a_stream_ends_when_its_api_key_does(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = datetime.now(UTC) + timedelta(hours=2)
    body = {"name": "Import", "scopes": ["event.read"], "expires_at": ends.isoformat()}
    made = await owner.post("/v1/api-keys", body)
    await assert_it_ends_with(owner, made["key"], ends, monkeypatch)


async def test_check_17_a_stream_ends_when_its_client_token_does(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await register(owner, redirect_uris=[], grants=["client_credentials"], scopes=["event.read"])
    answer = await shop.token(grant_type="client_credentials")
    [row] = await owner.stage.administrator.fetch("SELECT expires_at FROM users.oauth_client_tokens")
    await assert_it_ends_with(owner, answer.json()["access_token"], row["expires_at"], monkeypatch)


async def test_a_stream_of_a_key_without_an_end_goes_on(owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await owner.post("/v1/api-keys", {"name": "For ever", "scopes": ["event.read"]})
    monkeypatch.setattr(sse, "time", lambda: datetime(2100, 1, 1, tzinfo=UTC).timestamp())
    async with following(owner, made["key"]) as (reading, lines):
        await rename(owner, "In a hundred years")
        await wait_until(lambda: "In a hundred years" in str(lines), within_seconds=20, what="the event")
        assert not reading.done()
