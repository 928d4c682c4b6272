"""What stands between every process and its servers, and hinders them on command.

    python -m tests.faults.rig.proxy ROUTE=SOCKET…

Each route is a unix socket that one process dials, such as `worker-1/database`; the sockets, not ports, so that any
number of runs fit on a machine. Commands come on standard input, one JSON object a line: `{"do": "cut", "route": "…"}`;
each is confirmed with its line on standard output.

`aim`      where the route's connections lead from now on (`socket`, or `port` on loopback)
`cut`      ends every connection of the route, in the middle of whatever is under way
`delay`    every piece of data waits for `seconds`
`hold`     nothing gets through, in either direction, and new connections hang too
`swallow`  today's connections go silent for ever, as behind a router that forgot them; new ones work
`heal`     back to normal; what was held is thrown away and its connections are ended
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Link:
    """One connection: both its ends."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    silent: bool = False

    def cut(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Route:
    """One way from a process to a server."""

    def __init__(self) -> None:
        self.target: dict[str, Any] = {}
        self.delay_seconds = 0.0
        self.open = asyncio.Event()
        self.open.set()
        self.links: set[Link] = set()

    def order(self, command: dict[str, Any]) -> None:
        match command["do"]:
            case "aim":
                self.target = command
            case "cut":
                self._cut()
            case "delay":
                self.delay_seconds = command["seconds"]
            case "hold":
                self.open.clear()
            case "swallow":
                for link in self.links:
                    link.silent = True
            case "heal":
                self.delay_seconds = 0.0
                if not self.open.is_set():
                    self._cut()
                    self.open.set()

    def _cut(self) -> None:
        """Silent ones stay silent: nobody tells their ends that they are gone."""
        for link in [link for link in self.links if not link.silent]:
            link.cut()
            self.links.discard(link)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = Link([writer])
        self.links.add(link)
        try:
            await self.open.wait()
            there, back = await self._dial()
            link.writers.append(back)
            if link not in self.links:
                return
            await asyncio.gather(self._pump(link, reader, back), self._pump(link, there, writer))
        except OSError:
            return
        finally:
            if not link.silent:
                link.cut()
                self.links.discard(link)

    async def _dial(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if "socket" in self.target:
            return await asyncio.open_unix_connection(self.target["socket"])
        return await asyncio.open_connection("127.0.0.1", self.target["port"])

    async def _pump(self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            if self.delay_seconds:
                await asyncio.sleep(self.delay_seconds)
            await self.open.wait()
            if link.silent:
                await asyncio.Event().wait()
            writer.write(data)
            await writer.drain()
        if link.silent:
            await asyncio.Event().wait()
        raise ConnectionResetError


async def main() -> None:
    routes: dict[str, Route] = {}
    for argument in sys.argv[1:]:
        name, _, path = argument.partition("=")
        routes[name] = Route()
        await asyncio.start_unix_server(routes[name].serve, path)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    print("ready", flush=True)
    while line := await commands.readline():
        command = json.loads(line)
        routes[command["route"]].order(command)
        print(line.decode().strip(), flush=True)
    os._exit(0)  # whoever gave the commands is gone, and with it the reason to end connections in good order


if __name__ == "__main__":
    asyncio.run(main())
