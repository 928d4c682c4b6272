"""Whose address a request comes from, behind proxies and in front of liars."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from prog_edge.context import context_of
from prog_edge.middleware.client_address import client_address
from prog_edge.middleware.gateway import GatewayMiddleware

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1", "unknown"], "10.0.0.1"),
        ("10.0.0.1", ["<script>"], "10.0.0.1"),
        ("fd00::1", ["2001:db8::5"], "2001:db8::5"),
        ("10.0.0.1", [], "10.0.0.1"),
    ],
)
def test_check_12_only_listed_proxies_are_believed(peer: str, forwarded: list[str], found: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == found


@pytest.mark.parametrize(
    ("peer", "headers", "found"),
    [
        (
            "203.0.113.7",
            {"forwarded": "for=6.6.6.6", "x-real-ip": "6.6.6.6", "true-client-ip": "6.6.6.6"},
            "203.0.113.7",
        ),
        ("10.0.0.1", {"forwarded": "for=6.6.6.6", "x-real-ip": "6.6.6.6", "cf-connecting-ip": "6.6.6.6"}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "6.6.6.6, 198.51.100.1"}, "198.51.100.1"),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1\u00ff"}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "198.51.100.1:443"}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": ", ,"}, "10.0.0.1"),
        ("10.0.0.1", {"x-forwarded-for": "127.0.0.1, 10.0.0.9, " + "10.0.0.2, " * 500}, "127.0.0.1"),
    ],
)
async def test_check_12_no_other_header_says_whose_address_it_is(
    peer: str, headers: dict[str, str], found: str
) -> None:
    seen: list[str | None] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(context_of(scope).client_address)

    async def nothing(*_: object) -> Any:
        raise AssertionError("nobody reads or answers here")

    scope: Scope = {"type": "http", "method": "GET", "path": "/", "client": (peer, 1), "headers": []}
    scope["headers"] = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    gateway = GatewayMiddleware(app, public_url="https://prog.example", trusted_proxies=["10.0.0.0/8"])
    await gateway(scope, nothing, nothing)
    assert seen == [found]
