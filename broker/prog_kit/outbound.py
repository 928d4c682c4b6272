"""Requests to servers of other people: bounded in time and size, without redirects, proxies or cookies.

Where private addresses are not allowed, a name is resolved here, every address that it has must be public, and the
connection goes to one of those: a name that is resolved a second time, to somewhere else, gains nothing. The
certificate is still that of the name.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final

import httpx

from prog_contracts.errors import Unavailable
from prog_kit.connecting import connecting

ANSWER_SECONDS: Final = 10.0
"""For all of one request: name, connection, answer."""
MOST_BYTES: Final = 512 * 1024
MOST_AT_ONCE: Final = 50
MOST_OF_A_STRANGER: Final = 10
"""At once of one host that a tenant has named: one that takes its time leaves room for all others."""
LOOK_UPS_AT_ONCE: Final = 8
PROVIDER: Final = "The identity provider"
NO_ANSWER: Final = "{} does not answer at a public address. Try again in a minute."
"""For names that are not there, that lead into a private network, and whose server is silent: whoever may name servers
learns of no name which of these it is."""
_NAT64: Final = IPv6Network("64:ff9b::/96")


class Unreachable(Unavailable):
    """The other server does not answer, or not as it should. `message` says what for people, without its answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: whole, and not too long."""

    status_code: int
    content: bytes
    whose: str = PROVIDER

    def json(self) -> Any:
        """Raises ValueError for what is no JSON, and for what goes deeper than can be read."""
        try:
            return httpx.Response(self.status_code, content=self.content).json()
        except RecursionError as error:
            raise ValueError("arrays and objects in one another without end") from error

    def raise_for_status(self) -> None:
        """As Authlib calls it for an answer without a JSON object. Raises Unreachable for an error status."""
        if self.status_code >= 400:
            raise Unreachable(f"{self.whose} answered with status {self.status_code}.")


class Outbound:
    """One a process and policy. `private` lets it connect to private and loopback addresses, `plain` without TLS.

    `most_of_a_host` is how many requests one host may have at once; None is as many as there are. `whose` is what
    people are told of who does not answer, and `answer_seconds` how long that may take.
    """

    def __init__(
        self,
        *,
        private: bool,
        plain: bool,
        most_of_a_host: int | None = None,
        whose: str = PROVIDER,
        answer_seconds: float | None = None,
    ) -> None:
        self._plain = plain
        self._whose = whose
        self._answer_seconds = answer_seconds
        self._most_of_a_host = most_of_a_host
        self._asked: Counter[str] = Counter()
        transport: httpx.AsyncBaseTransport = httpx.AsyncHTTPTransport(
            verify=_tls(), limits=httpx.Limits(max_connections=MOST_AT_ONCE, max_keepalive_connections=0)
        )
        self._client = httpx.AsyncClient(
            transport=transport if private else PublicOnly(transport, whose),
            trust_env=False,
            follow_redirects=False,
            timeout=ANSWER_SECONDS,
            headers={"User-Agent": "prognetwork", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, url: str, headers: Mapping[str, str] | None = None) -> Answer:
        return await self.send("GET", url, headers=headers)

    async def send(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: str | None = None
    ) -> Answer:
        """The answer, whatever its status but a redirect. Raises Unreachable."""
        if not url.startswith("https://") and not (self._plain and url.startswith("http://")):
            raise Unreachable(f"{self._whose} names an address without TLS.")
        try:
            with self._room(httpx.URL(url).host), connecting():
                async with asyncio.timeout(ANSWER_SECONDS if self._answer_seconds is None else self._answer_seconds):
                    return await self._answer(method, url, headers or {}, body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, UnicodeError) as error:
            raise Unreachable(NO_ANSWER.format(self._whose)) from error

    @contextmanager
    def _room(self, host: str) -> Iterator[None]:
        """Around a request to a host. Raises Unreachable where too many wait for that one already."""
        if self._most_of_a_host is not None and self._asked[host] >= self._most_of_a_host:
            raise Unreachable(f"{self._whose} has not answered others yet. Try again in a minute.")
        self._asked[host] += 1
        try:
            yield
        finally:
            self._asked[host] -= 1
            if not self._asked[host]:
                del self._asked[host]

    async def _answer(self, method: str, url: str, headers: Mapping[str, str], body: str | None) -> Answer:
        content = None if body is None else body.encode()
        async with self._client.stream(method, url, headers=dict(headers), content=content) as response:
            if response.is_redirect:
                raise Unreachable(f"{self._whose}'s server sends elsewhere, which is not followed.")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise Unreachable(f"{self._whose}'s answer is compressed, which was not asked for.")
            read = bytearray()
            async for chunk in response.aiter_raw():
                read += chunk
                if len(read) > MOST_BYTES:
                    raise Unreachable(f"{self._whose}'s answer is too long.")
        return Answer(response.status_code, bytes(read), self._whose)


class PublicOnly(httpx.AsyncBaseTransport):
    """Connects to public addresses alone, and to those that it has looked at.

    Names are looked up in threads of its own: a look-up cannot be given up, and nothing else has to wait for one of a
    name whose servers say nothing.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, whose: str = PROVIDER) -> None:
        self._inner = inner
        self._whose = whose
        self._threads = ThreadPoolExecutor(LOOK_UPS_AT_ONCE, thread_name_prefix="look-up")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        host = request.url.host
        port = request.url.port or (443 if request.url.scheme == "https" else 80)
        address = await public_address(host, port, self._threads, self._whose)
        request.extensions = {**request.extensions, "sni_hostname": host}
        request.url = request.url.copy_with(host=address)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._inner.aclose()


async def public_address(host: str, port: int, threads: Executor | None = None, whose: str = PROVIDER) -> str:
    """An address of a host that has public ones alone. Raises Unreachable for any other, OSError for an unknown one."""
    look_up = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(threads, look_up)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(is_public(ip_address(address.partition("%")[0])) for address in addresses):
        raise Unreachable(NO_ANSWER.format(whose))
    return addresses[0]


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether an address is one of the internet's, whichever way it is written: IPv4 inside of IPv6 counts as that."""
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return is_public(inner)
        if address in _NAT64:
            return is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
