"""Whether a request comes from within the platform's own network, for what is nobody else's business."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

from starlette.requests import Request

_PROXIED: Final = ("x-forwarded-for", "forwarded", "x-real-ip", "via")


def comes_from_inside(request: Request, networks: Sequence[str]) -> bool:
    """By the address of the connection itself, and never through a proxy: what a header says counts for nothing."""
    if request.client is None or any(name in request.headers for name in _PROXIED):
        return False
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in ip_network(network, strict=False) for network in networks)
