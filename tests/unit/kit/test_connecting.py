"""A connection that ends as it opens is a server that does not answer, for all who ask one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest
import uvloop

from prog_kit.connecting import connecting
from prog_kit.outbound import Outbound, Unreachable
from prog_workers.email.providers.port import Deferred, SendResult
from prog_workers.email.providers.sendgrid import SendgridProvider
from prog_workers.users.strength import BreachedPasswords, ServiceAway
from tests.unit.email.test_compose import MAIL


@pytest.fixture
def gone_as_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection has ended before anyone looks at it."""
    connect = anyio.connect_tcp

    async def connect_and_lose(*arguments: Any, **options: Any) -> Any:
        stream = await connect(*arguments, **options)
        await stream.aclose()
        return stream

    monkeypatch.setattr(anyio, "connect_tcp", connect_and_lose)


def asked(ask: Callable[[str], Awaitable[Any]]) -> Any:
    """What comes of asking a server, on the loop that the platform's processes run on."""

    async def _ask() -> Any:
        listening = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
        async with listening:
            return await ask(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/")

    return uvloop.run(_ask())


@pytest.mark.usefixtures("gone_as_it_opens")
def test_a_connection_that_ends_as_it_opens_is_one_that_was_not_had() -> None:
    async def ask(url: str) -> None:
        async with httpx.AsyncClient(trust_env=False, verify=False) as client:
            with connecting():
                await client.get(url)

    with pytest.raises(httpx.ConnectError, match="ended as it opened") as told:
        asked(ask)
    assert isinstance(told.value.__cause__, AttributeError)  # else the library closed the hole, and `connecting` can go


@pytest.mark.usefixtures("gone_as_it_opens")
def test_servers_that_tenants_name_are_unreachable_by_it() -> None:
    async def ask(url: str) -> None:
        ours = Outbound(private=True, plain=True)
        try:
            await ours.get(url)
        finally:
            await ours.close()

    with pytest.raises(Unreachable, match="does not answer"):
        asked(ask)


@pytest.mark.usefixtures("gone_as_it_opens")
def test_sendgrid_has_certainly_not_taken_the_mail_by_it() -> None:
    async def ask(url: str) -> SendResult:
        sendgrid = SendgridProvider("key", url)
        try:
            return await sendgrid.send(MAIL)
        finally:
            await sendgrid.close()

    assert isinstance(asked(ask), Deferred)


@pytest.mark.usefixtures("gone_as_it_opens")
def test_the_service_of_breached_passwords_is_away_by_it() -> None:
    with pytest.raises(ServiceAway):
        asked(lambda url: BreachedPasswords(url, "refuse").has("correct horse battery staple"))


def test_other_defects_stay_defects() -> None:
    with pytest.raises(AttributeError, match="getsockname"), connecting():
        None.getsockname()  # type: ignore[attr-defined]
