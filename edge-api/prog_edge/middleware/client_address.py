"""Finds the client's address. `X-Forwarded-For` is believed from listed proxies alone, read from the right.

An entry that is no address ends the walk: the last hop that could be read stands, never the unreadable one.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from prog_kit.logging import get

_log = get("prog_edge.limits")


class ClientAddresses:
    """Finds addresses, and tells once of a proxy that is not listed."""

    def __init__(self, trusted: Sequence[str]) -> None:
        self._trusted = tuple(ip_network(network, strict=False) for network in trusted)
        self._warned = False

    def find(self, peer: str | None, forwarded: Sequence[str] | None) -> str | None:
        """The client's address, from that of the connection and the hops that the header names, client first."""
        if peer is None or not forwarded:
            return peer
        if _is_trusted(peer, self._trusted):
            return client_address(peer, forwarded, self._trusted)
        if not self._warned:
            self._warn(peer)
        return peer

    def _warn(self, peer: str) -> None:
        """Once a process: behind a proxy that is not listed, all its clients share one quota."""
        self._warned = True
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


def _is_trusted(address: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    return _is_address(address) and any(ip_address(address) in network for network in trusted)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
