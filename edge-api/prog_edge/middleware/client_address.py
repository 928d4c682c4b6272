"""Finds the client's address. `X-Forwarded-For` is believed from listed proxies alone, read from the right.

An entry that is no address ends the walk: the last hop that could be read stands, never the unreadable one.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

from prog_edge.context import context_of


class ClientAddressMiddleware:
    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self.app = app
        self.trusted = tuple(ip_network(network, strict=False) for network in trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            address = client[0] if client else None
            if self.trusted and address is not None:
                address = client_address(address, _forwarded(scope), self.trusted)
            context_of(scope).client_address = address
        await self.app(scope, receive, send)


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The first address, seen from us, that is no trusted proxy. `forwarded` is the header's list, client first."""
    address = peer
    for hop in reversed(forwarded):
        if not _is_trusted(address, trusted) or not _is_address(hop):
            break
        address = hop
    return address


def _forwarded(scope: Scope) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [hop.strip() for value in values for hop in value.split(",") if hop.strip()]


def _is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
