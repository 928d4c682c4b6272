"""The DNS, as far as the proof of a domain needs it: the texts of a name, asked of the DNS within seconds.

`resolver` is the port that handlers use; `app` puts the one there that the settings name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.nameserver import Do53Nameserver

LOOK_UP_SECONDS: Final = 3.0
MOST_TEXTS: Final = 100
_PORT: Final = 53


class Unanswered(Exception):
    """No server has answered, or not in time."""


class Resolver(Protocol):
    async def texts(self, name: str) -> Sequence[str]:
        """The TXT records of a name, none where there are none. Raises Unanswered."""
        ...


class DnsResolver:
    """Asks `servers` (`192.0.2.1` or `192.0.2.1:5353`), or without any those that the system uses."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._servers = tuple(servers)
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def texts(self, name: str) -> Sequence[str]:
        try:
            if self._resolver is None:
                self._resolver = self._opened()
            answer = await self._resolver.resolve(f"{name}.", "TXT", lifetime=LOOK_UP_SECONDS, search=False)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return ()
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise Unanswered(str(error)) from error
        return [b"".join(record.strings).decode("ascii", "replace") for record in list(answer)[:MOST_TEXTS]]

    def _opened(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not self._servers)
        if self._servers:
            resolver.nameservers = [Do53Nameserver(*_place(server)) for server in self._servers]
        return resolver


def _place(server: str) -> tuple[str, int]:
    """Address and port; an IPv6 address with a port is in brackets."""
    if server.startswith("["):
        address, _, port = server[1:].partition("]")
        return address, int(port.removeprefix(":") or _PORT)
    if server.count(":") == 1:
        address, _, port = server.partition(":")
        return address, int(port)
    return server, _PORT


resolver: Resolver = DnsResolver()


async def texts(name: str) -> Sequence[str]:
    """The TXT records of a name. Raises Unanswered."""
    return await resolver.texts(name)
