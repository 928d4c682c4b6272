"""The DNS, as far as the proof of a domain needs it: the texts of a name, and where a name leads, asked within seconds.

`resolver` is the port that handlers use; `app` puts the one there that the settings name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import dns.asyncresolver
import dns.exception
import dns.name
import dns.rdatatype
import dns.resolver
from dns.nameserver import Do53Nameserver

from prog_workers.tenants.rules.custom_domains import Lead

LOOK_UP_SECONDS: Final = 3.0
MOST_TEXTS: Final = 100
MOST_ADDRESSES: Final = 20
_PORT: Final = 53


class Unanswered(Exception):
    """No server has answered, not in time, or with an error. `timed_out` tells the first two from the last."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class NoSuchName(Exception):
    """The DNS has answered that there is no such name (NXDOMAIN)."""


class Resolver(Protocol):
    async def texts(self, name: str) -> Sequence[str]:
        """The TXT records of a name, none where it has none of these. Raises NoSuchName and Unanswered."""
        ...

    async def lead(self, name: str) -> Lead:
        """Where a name leads. Raises NoSuchName and Unanswered."""
        ...


class DnsResolver:
    """Asks `servers` (`192.0.2.1` or `192.0.2.1:5353`), or without any those that the system uses."""

    def __init__(self, servers: Sequence[str] = ()) -> None:
        self._servers = tuple(servers)
        self._resolver: dns.asyncresolver.Resolver | None = None

    async def texts(self, name: str) -> Sequence[str]:
        answer = await self._asked(name, "TXT")
        return [b"".join(record.strings).decode("ascii", "replace") for record in list(answer)[:MOST_TEXTS]]

    async def lead(self, name: str) -> Lead:
        aliases: dict[str, None] = {}
        addresses: set[str] = set()
        for kind in ("A", "AAAA"):
            answer = await self._asked(name, kind)
            for rrset in answer.response.answer:
                if rrset.rdtype == dns.rdatatype.CNAME:
                    aliases |= dict.fromkeys(_text(record.target) for record in rrset)
            addresses.update(record.address for record in list(answer)[:MOST_ADDRESSES])
        return Lead(tuple(aliases), frozenset(addresses))

    async def _asked(self, name: str, kind: Literal["TXT", "A", "AAAA"]) -> dns.resolver.Answer:
        try:
            if self._resolver is None:
                self._resolver = self._opened()
            return await self._resolver.resolve(
                f"{name}.", kind, lifetime=LOOK_UP_SECONDS, search=False, raise_on_no_answer=False
            )
        except dns.resolver.NXDOMAIN as error:
            raise NoSuchName(name) from error
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise Unanswered(str(error), timed_out=isinstance(error, dns.exception.Timeout | OSError)) from error

    def _opened(self) -> dns.asyncresolver.Resolver:
        resolver = dns.asyncresolver.Resolver(configure=not self._servers)
        if self._servers:
            resolver.nameservers = [Do53Nameserver(*_place(server)) for server in self._servers]
        return resolver


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


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


@dataclass(frozen=True, slots=True)
class Proof:
    """What the DNS says of the record that proves a name: whether it is `there` (None where it does not answer), what
    there is instead, and what is wrong."""

    there: bool | None
    seen: tuple[str, ...] = ()
    problem: Literal["no_such_name", "record_missing", "record_different", "timed_out", "server_failed"] | None = None


async def prove(record: str, value: str) -> Proof:
    """Looks for the text `value` among those of `record`. A DNS that does not answer says nothing either way."""
    try:
        found = await resolver.texts(record)
    except NoSuchName:
        return Proof(there=False, problem="no_such_name")
    except Unanswered as error:
        return Proof(there=None, problem="timed_out" if error.timed_out else "server_failed")
    if value in found:
        return Proof(there=True)
    return Proof(there=False, seen=tuple(found), problem="record_different" if found else "record_missing")
