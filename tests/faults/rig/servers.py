"""PostgreSQL, Valkey and Kafka as production runs them, with the ends that no server wants."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil

from prog_infra.servers import Postgres, Valkey
from prog_infra.servers.kafka import Kafka
from prog_infra.servers.process import Launch, last_line

START_SECONDS = 180.0


class Embedded(Protocol):
    """What the rig needs of a server."""

    @property
    def death_signal(self) -> signal.Signals: ...

    def prepare(self) -> None: ...

    def launch(self) -> Launch: ...

    def is_ready(self) -> bool: ...


class KafkaNode:
    """One node of a cluster that was prepared as a whole."""

    death_signal = Kafka.death_signal

    def __init__(self, cluster: Kafka, number: int) -> None:
        self._cluster = cluster
        self._number = number

    def prepare(self) -> None:
        self._cluster._nodes[self._number].prepare()

    def launch(self) -> Launch:
        return self._cluster._nodes[self._number].launch()

    def is_ready(self) -> bool:
        """Whether it answers and knows itself as live; how many others are is not its business."""
        return self._number in self._cluster._nodes[self._number].knows()


class Server:
    """One embedded server: started, killed, started again on the same data."""

    def __init__(self, name: str, embedded: Embedded, log: Path) -> None:
        self.name = name
        self.embedded = embedded
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Returns when it takes connections."""
        await asyncio.to_thread(self.embedded.prepare)
        with self.log.open("ab") as output:
            self.process = self.embedded.launch().start(output=output.fileno())
        deadline = asyncio.get_running_loop().time() + START_SECONDS
        while not await asyncio.to_thread(self.embedded.is_ready):
            if self.process.poll() is not None or asyncio.get_running_loop().time() > deadline:
                raise RuntimeError(f"{self.name} did not start: {last_line(self.log)}")
            await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL to the server and to every process that it has started, as when the machine's memory ran out."""
        process = self._alive()
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        await asyncio.to_thread(process.wait)

    async def stop(self) -> None:
        """The server's own quick way to stop."""
        process = self._alive()
        process.send_signal(self.embedded.death_signal)
        try:
            await asyncio.to_thread(process.wait, 60)
        except subprocess.TimeoutExpired:
            await self.kill()

    def pause(self) -> None:
        self._alive().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._alive().send_signal(signal.SIGCONT)

    def _alive(self) -> subprocess.Popen[bytes]:
        assert self.process is not None
        return self.process

    @property
    def address(self) -> dict[str, Any]:
        """Where the proxy finds it."""
        if isinstance(self.embedded, Valkey):
            return {"port": self.embedded.port}
        assert isinstance(self.embedded, Postgres)
        return {"socket": str(self.embedded.socket_directory / ".s.PGSQL.5432")}

    def close(self) -> None:
        if isinstance(self.embedded, Postgres):
            self.embedded.clear_sockets()


def empty(valkey: Valkey) -> None:
    """What a lost disk leaves: nothing. The server must not run."""
    shutil.rmtree(valkey.directory / "appendonlydir", ignore_errors=True)


def lose_the_end(valkey: Valkey, chance: random.Random) -> int:
    """What a power cut leaves of the append-only file: all but its last bytes, cut anywhere. Tells how many went."""
    newest = max((valkey.directory / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
    size = newest.stat().st_size
    lost = min(size, chance.randrange(1, 200_000))
    os.truncate(newest, size - lost)
    return lost
