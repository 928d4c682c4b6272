"""Requests to servers of other people: bounded, and to public addresses where that is asked for."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from prog_kit import outbound
from prog_kit.outbound import Outbound, Unreachable, is_public
from prog_kit.tasks import cancelled
from tests.waiting import wait_until

Reply = Callable[[asyncio.StreamWriter], Any]


@asynccontextmanager
async def server(*parts: bytes, stays: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers everything with these bytes; the requests that it got."""
    requests: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        for part in parts:
            writer.write(part)
        if stays:
            await over.wait()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}", requests
    finally:
        over.set()
        listening.close()


def head(status: str, *lines: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", "Connection: close", *lines, "", "")).encode()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "192.0.2.1",
        "224.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001:db8::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_the_internet_s_are_told_in_every_spelling(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_addresses_of_the_internet_are_let_be(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f.1", "127.1"])
async def test_a_private_address_is_not_connected_to_however_it_is_written(host: str) -> None:
    async with server(head("200 OK", "Content-Length: 2"), b"{}") as (url, requests):
        public = Outbound(private=False, plain=True)
        with pytest.raises(Unreachable):
            await public.get(url.replace("127.0.0.1", host))
        await public.close()
    assert requests == []


async def test_a_name_is_resolved_once_and_connected_to_where_it_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is public when it is looked at and private when it is connected to gains nothing by it."""
    async with server(head("200 OK", "Content-Length: 2"), b"{}") as (url, requests):
        port, resolved = int(url.rpartition(":")[2]), []

        def resolve(host: str, asked_port: int, **_: Any) -> list[Any]:
            resolved.append(host)
            address = "93.184.216.34" if len(resolved) == 1 else "127.0.0.1"
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, asked_port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        assert await outbound.public_address("rebinding.example", port) == "93.184.216.34"
        with pytest.raises(Unreachable):
            await outbound.public_address("rebinding.example", port)
    assert requests == []


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect"])
async def test_a_redirect_is_not_followed(status: str) -> None:
    async with server(head("200 OK", "Content-Length: 2"), b"{}") as (elsewhere, asked):
        redirect = head(status, f"Location: {elsewhere}/", "Content-Length: 0")
        async with server(redirect) as (url, _):
            ours = Outbound(private=True, plain=True)
            with pytest.raises(Unreachable, match="elsewhere"):
                await ours.get(url)
            await ours.close()
    assert asked == []


async def test_an_answer_that_is_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "MOST_BYTES", 1000)
    async with server(head("200 OK"), b"x" * 1001) as (url, _):
        ours = Outbound(private=True, plain=True)
        with pytest.raises(Unreachable, match="too long"):
            await ours.get(url)
        await ours.close()


async def test_a_compressed_answer_is_not_unpacked() -> None:
    async with server(head("200 OK", "Content-Encoding: gzip"), b"\x1f\x8b") as (url, _):
        ours = Outbound(private=True, plain=True)
        with pytest.raises(Unreachable, match="compressed"):
            await ours.get(url)
        await ours.close()


async def test_a_server_that_takes_its_time_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "ANSWER_SECONDS", 0.2)
    async with server(head("200 OK", "Content-Length: 10"), b"{", stays=True) as (url, _):
        ours = Outbound(private=True, plain=True)
        with pytest.raises(Unreachable, match="does not answer"):
            await ours.get(url)
        await ours.close()


async def test_a_name_that_takes_its_time_keeps_no_other_thread_from_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    over, begun = threading.Event(), []

    def silent(host: str, *_: Any, **__: Any) -> list[Any]:
        begun.append(host)
        over.wait(60)
        raise socket.gaierror("no server has answered")

    monkeypatch.setattr(socket, "getaddrinfo", silent)
    public = Outbound(private=False, plain=True)
    try:
        waiting = [asyncio.create_task(public.get(f"https://{number}.silent.example/")) for number in range(40)]
        await wait_until(lambda: len(begun) >= outbound.LOOK_UPS_AT_ONCE, within_seconds=30, what="names to be asked")
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(lambda: "done") == "done"
        await cancelled(waiting)
    finally:
        over.set()
        await public.close()


async def test_a_server_that_takes_its_time_leaves_room_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbound, "ANSWER_SECONDS", 30)
    ours = Outbound(private=True, plain=True, most_of_a_host=2)
    async with (
        server(head("200 OK", "Content-Length: 10"), b"{", stays=True) as (slow, asked),
        server(head("200 OK", "Content-Length: 2"), b"{}") as (quick, _),
    ):
        waiting = [asyncio.create_task(ours.get(slow)) for _ in range(2)]
        await wait_until(lambda: len(asked) == 2, within_seconds=30, what="the slow server to be asked twice")
        with pytest.raises(Unreachable, match="not answered others"):
            await ours.get(slow)
        assert (await ours.get(quick.replace("127.0.0.1", "localhost"))).content == b"{}"
        await cancelled(waiting)
        assert len(asked) == 2
    await ours.close()


async def test_a_name_that_is_private_and_one_that_is_not_there_are_told_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever may name a provider would learn the names of a private network otherwise."""

    def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
        if host == "gone.example":
            raise socket.gaierror("no such name")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 443))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    public = Outbound(private=False, plain=False)
    told = []
    for host in ("intranet.example", "gone.example", "10.0.0.7"):
        with pytest.raises(Unreachable) as refused:
            await public.get(f"https://{host}/")
        told.append((refused.value.code, refused.value.message))
    await public.close()
    assert len(set(told)) == 1, told


@pytest.mark.parametrize("url", ["http://id.example.com/", "ftp://id.example.com/", "file:///etc/passwd", "//x", ""])
async def test_production_asks_with_tls_alone(url: str) -> None:
    production = Outbound(private=False, plain=False)
    with pytest.raises(Unreachable, match="TLS"):
        await production.get(url)
    await production.close()
