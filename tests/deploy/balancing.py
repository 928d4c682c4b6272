"""The balancer of infra/compose as a process on this machine, with a DNS server in which tests put edges."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from prog_infra.servers import free_port
from tests.deploy.toolbox import COMPOSE, Toolbox
from tests.dns_server import DnsServer
from tests.waiting import wait_until

PATIENCE_SECONDS = 60.0
CONFIGURATION = COMPOSE / "haproxy.cfg"
HOSTS = ("127.0.0.2", "127.0.0.3")


@dataclass
class Balancer:
    """A balancer that runs. `edge_port` is where it looks for edges, at the addresses in `dns`."""

    url: str
    health_url: str
    edge_port: int
    dns: DnsServer

    def finds(self, *hosts: str) -> None:
        self.dns.addresses["edge"] = list(hosts)

    async def is_well(self, http: httpx.AsyncClient) -> bool:
        return (await http.get(self.health_url)).status_code == 200


@asynccontextmanager
async def balancer(tools: Toolbox, folder: Path) -> AsyncIterator[Balancer]:
    """The file of infra/compose, with other places for what is in Docker's network."""
    port, health_port, edge_port = free_port(), free_port(), free_port()
    async with DnsServer() as dns:
        text = CONFIGURATION.read_text()
        for docker, here in (
            ("nameserver dns 127.0.0.11:53", f"nameserver dns {dns.address}"),
            ("bind :8000", f"bind 127.0.0.1:{port}"),
            ("bind 127.0.0.1:8404", f"bind 127.0.0.1:{health_port}"),
            ("edge:8000", f"edge:{edge_port}"),
        ):
            assert docker in text
            text = text.replace(docker, here)
        file = folder / "haproxy.cfg"
        file.write_text(text)
        dns.addresses["edge"] = []
        with (folder / "balancer.log").open("wb") as told:
            process = await asyncio.create_subprocess_exec(
                str(tools.place / "bin/haproxy"), "-db", "-f", str(file), stdout=told
            )
        try:
            url, health_url = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{health_port}/healthz"
            await wait_until(partial(listens, port), within_seconds=PATIENCE_SECONDS, what="the balancer to listen")
            yield Balancer(url, health_url, edge_port, dns)
        finally:
            if process.returncode is None:
                process.kill()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
