"""Finds the client's address. `X-Forwarded-For` is believed from listed proxies alone, read from the right.

An entry that is no address ends the walk: the last hop that could be read stands, never the unreadable one.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

from prog_edge.context import context_of
from prog_kit.logging import get

_log = get("prog_edge.limits")


class ClientAddressMiddleware:
    def __init__(self, app: ASGIApp, trusted: Sequence[str]) -> None:
        self.app = app
        self.trusted = tuple(ip_network(network, strict=False) for network in trusted)
        self.warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            client = scope.get("client")
            address = client[0] if client else None
            if address is not None and (forwarded := _forwarded(scope)):
                if _is_trusted(address, self.trusted):
                    address = client_address(address, forwarded, self.trusted)
                elif not self.warned:
                    self._warn(address)
            context_of(scope).client_address = address
        await self.app(scope, receive, send)

    def _warn(self, peer: str) -> None:
        """Once a process: behind a proxy that is not listed, all its clients share one quota."""
        self.warned = True
        _log.warning(
            "X-Forwarded-For comes from an address that PROG_TRUSTED_PROXIES does not list; if it is your proxy, all of"
            " its clients count as one until it is listed",
            peer=peer,
        )


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
