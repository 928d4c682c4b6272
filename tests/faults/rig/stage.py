"""The stage of a run: servers, proxy, and every process, started, watched, and ended.

A process that ends without having been told to is started again like one that was killed, and remembered as a problem:
no fault here is a reason for a process to give up.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import asyncpg

from prog_infra import migrations
from prog_infra.servers import Postgres, Valkey, free_port
from prog_infra.servers.kafka import Kafka
from prog_infra.servers.process import last_line
from tests.faults.rig import schema
from tests.faults.rig.ledger import COMMANDS, EVENTS
from tests.faults.rig.servers import KafkaNode, Server
from tests.forking import Popen

ROOT: Final = Path(__file__).resolve().parents[3]
DATABASE: Final = "faults"
UNPREPARED_SECONDS: Final = 20.0
"""So long after its start, on a loaded machine, a process may not have come to the point where it handles SIGTERM."""
Role = Literal["worker", "relay", "producer", "appender", "provider"]
DIALS: Final[dict[Role, tuple[str, ...]]] = {
    "worker": ("valkey", "database"),
    "relay": ("valkey", "database"),
    "producer": ("valkey", "database"),
    "appender": ("database",),
    "provider": (),
}


@dataclass(frozen=True, slots=True)
class Cast:
    """How many of each take part, and how fast."""

    workers: int = 2
    relays: int = 2
    producers: int = 2
    appenders: int = 1
    brokers: int = 1
    """Nodes, where the broker has several: Kafka."""
    keys: int = 16
    """Of each producer: so many messages of its are under way at most."""
    rate: float = 60.0
    """Commands a second of each producer, at most; it waits for its answers."""
    appender_rate: float = 60.0
    """Events a second of each appender, which waits for nobody."""
    lease_seconds: float = 2.0
    seed: int = 0
    broker: Literal["redis", "kafka"] = "redis"
    broken: str = ""


@dataclass(eq=False)
class Actor:
    """One process. `wanted` says that it is to run; `excused` that its present end was brought about by the rig."""

    name: str
    role: Role
    argv: tuple[str, ...]
    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    wanted: bool = True
    excused: bool = False
    not_before: float = 0.0
    began: float = 0.0

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = Popen(
                self.argv,
                env=self.environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.excused, self.began = False, time.monotonic()

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class Proxy:
    """The process between everybody and the servers."""

    def __init__(self, sockets: dict[str, Path]) -> None:
        routes = [f"{route}={path}" for route, path in sockets.items()]
        self._argv = (sys.executable, "-m", "tests.faults.rig.proxy", *routes)
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"ready\n"

    async def order(self, what: str, route: str, **options: Any) -> None:
        """Returns when it is in force."""
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps({"do": what, "route": route, **options}).encode() + b"\n")
            if not await self._process.stdout.readline():
                raise RuntimeError("the proxy has died")

    async def close(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


@dataclass
class Stage:
    """Everything that takes part in one run, in one directory."""

    directory: Path
    cast: Cast
    say: Callable[[str], None]
    problems: list[str] = field(default_factory=list)
    secret: str = "0123456789abcdef" * 4

    def __post_init__(self) -> None:
        valkey = Valkey(self.directory / "valkey")
        valkey.directory.mkdir()
        self._password = valkey.password
        self.valkey = Server("valkey", valkey, self.directory / "valkey.log")
        self.database = Server("database", Postgres(self.directory / "postgres"), self.directory / "postgres.log")
        self.kafka = Kafka(self.directory / "kafka", nodes=self.cast.brokers)
        """Takes part where it is the broker; then Valkey carries answers and wake-ups alone."""
        self.brokers = [self.valkey]
        if self.cast.broker == "kafka":
            self.brokers = [
                Server(f"kafka-{number}", KafkaNode(self.kafka, number), self.directory / f"kafka-{number}.log")
                for number in range(1, self.cast.brokers + 1)
            ]
        self.servers = {server.name: server for server in (self.valkey, self.database, *self.brokers)}
        self.provider_port = free_port()
        self.actors = {actor.name: actor for actor in self._make_actors()}
        self.proxy = Proxy({route: self._socket(route) for route in self.routes()})
        self._tending: asyncio.Task[None] | None = None

    # What there is.

    def of(self, *roles: Role) -> list[Actor]:
        return [actor for actor in self.actors.values() if actor.role in roles]

    def routes(self, server: str | None = None) -> list[str]:
        """All ways, or those to one server: `valkey` or `database`. Kafka's clients dial its nodes themselves."""
        return [
            f"{actor.name}/{there}" for actor in self.actors.values() for there in DIALS[actor.role]
            if server in (None, there)
        ]  # fmt: skip

    def notebook(self, actor: Actor) -> Path:
        return self.directory / f"{actor.name}.sent"

    @property
    def charges(self) -> Path:
        return self.directory / "provider.done"

    @property
    def database_url(self) -> str:
        """Past the proxy, as administrator: for the rig itself."""
        assert isinstance(self.database.embedded, Postgres)
        return self.database.embedded.url(DATABASE)

    @property
    def redis_url(self) -> str:
        """Past the proxy: for the rig itself."""
        assert isinstance(self.valkey.embedded, Valkey)
        return self.valkey.embedded.url()

    @property
    def broker_url(self) -> str:
        """Past the proxy, which knows no Kafka: its nodes tell clients their own addresses."""
        return self.kafka.url() if self.cast.broker == "kafka" else self.redis_url

    # From beginning to end.

    async def open(self) -> None:
        """Starts the servers, makes the schema, starts everybody."""
        if self.cast.broker == "kafka":
            self.say("Kafka starts")
            await asyncio.to_thread(self.kafka.prepare)
            for actor in self.actors.values():
                actor.environment["PROG_BROKER_URL"] = self.broker_url
        await asyncio.gather(*(server.start() for server in self.servers.values()))
        assert isinstance(self.database.embedded, Postgres)
        administrator = await asyncpg.connect(self.database.embedded.url())
        await administrator.execute(f"CREATE DATABASE {DATABASE}")
        await administrator.close()
        await migrations.migrate(self.database_url)
        administrator = await asyncpg.connect(self.database_url)
        await administrator.execute(schema.SCHEMA)
        await administrator.close()
        for route in self.routes():
            self._socket(route).parent.mkdir(mode=0o700)
        await self.proxy.open()
        await self.aim("valkey")
        await self.aim("database")
        self._tending = asyncio.create_task(self._tend())

    async def aim(self, server: str) -> None:
        """Tells the proxy where a server is."""
        for route in self.routes(server):
            await self.proxy.order("aim", route, **self.servers[server].address)

    async def retire(self, *roles: Role, within_seconds: float = 180.0) -> None:
        """SIGTERM to all of these roles for good; each must finish its work and end with code 0."""
        actors = self.of(*roles)
        for actor in actors:
            actor.wanted, actor.excused = False, True
            if actor.alive:
                actor.send(signal.SIGTERM)
        for actor in actors:
            await self.await_end(actor, within_seconds)

    async def await_end(self, actor: Actor, within_seconds: float) -> None:
        """Waits until its present life has ended in good order; a problem if it does not."""
        process = actor.process
        if process is None:
            return
        deadline = time.monotonic() + within_seconds
        while process.poll() is None:
            if time.monotonic() > deadline:
                self.trouble(f"{actor.name} did not end within {within_seconds:.0f} s of SIGTERM; see {actor.log}")
                process.send_signal(signal.SIGUSR1)
                await asyncio.sleep(1)
                process.kill()
                await asyncio.to_thread(process.wait)
                return
            await asyncio.sleep(0.05)
        unprepared = process.returncode == -signal.SIGTERM and time.monotonic() - actor.began < UNPREPARED_SECONDS
        if process.returncode not in (0, -signal.SIGKILL) and not unprepared:
            self.trouble(f"{actor.name} ended with code {process.returncode} after SIGTERM: {last_line(actor.log)}")

    async def close(self) -> None:
        """Ends everything that is left."""
        if self._tending is not None:
            self._tending.cancel()
        for actor in self.actors.values():
            if actor.alive:
                actor.send(signal.SIGCONT)
                actor.send(signal.SIGKILL)
                assert actor.process is not None
                await asyncio.to_thread(actor.process.wait)
        await self.proxy.close()
        for server in self.servers.values():
            if server.process is not None and server.process.poll() is None:
                server.resume()
                await server.stop()
            server.close()

    def trouble(self, text: str) -> None:
        self.problems.append(text)
        self.say(f"[red]problem[/] {text}")

    # Looking after the processes.

    async def _tend(self) -> None:
        while True:
            now = time.monotonic()
            for actor in self.actors.values():
                if actor.alive or not actor.wanted:
                    continue
                if actor.process is not None and not actor.excused:
                    self.trouble(
                        f"{actor.name} ended by itself with code {actor.process.returncode}: {last_line(actor.log)}"
                    )
                    actor.excused, actor.not_before = True, now + 0.5
                if now >= actor.not_before:
                    actor.start()
            await asyncio.sleep(0.05)

    def _make_actors(self) -> list[Actor]:
        cast, python = self.cast, (sys.executable, "-m")
        rig = "tests.faults.rig"
        actors = [self._actor("worker", number, (*python, f"{rig}.worker")) for number in range(cast.workers)]
        actors += [self._actor("relay", number, (*python, f"{rig}.relay")) for number in range(cast.relays)]
        for number in range(cast.producers):
            notes = self.directory / f"producer-{number + 1}.sent"
            arguments = (str(cast.seed), str(cast.keys), str(cast.rate))
            actors.append(self._actor("producer", number, (*python, f"{rig}.producer", str(notes), *arguments)))
        for number in range(cast.appenders):
            arguments = (str(cast.seed), str(cast.keys), str(cast.appender_rate))
            actors.append(self._actor("appender", number, (*python, f"{rig}.appending", *arguments)))
        provider = (*python, f"{rig}.provider", str(self.provider_port), str(self.charges))
        return [*actors, self._actor("provider", 0, provider)]

    def _actor(self, role: Role, number: int, argv: tuple[str, ...]) -> Actor:
        name = f"{role}-{number + 1}"
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("PROG_")},
            "PROG_ENV": "test",
            "PROG_PROCESS_NAME": name,
            "PROG_LOG_LEVEL": "warning",
            "PROG_SECRET_KEYS": self.secret,
            "PROG_DATABASE_URL": f"postgresql://postgres@/{DATABASE}?host={self._socket(f'{name}/database').parent}",
            "PROG_REDIS_URL": f"unix://{self._socket(f'{name}/valkey')}?password={self._password}",
            "PROG_LEASE_SECONDS": str(self.cast.lease_seconds),
            "PROG_RETRY_ATTEMPTS": "30",
            "PROG_RETRY_BASE_SECONDS": "0.05",
            "PROG_RETRY_CAP_SECONDS": "0.5",
            "PROG_BATCH_SIZE": "100",
            "PROG_FAULTS_PROVIDER": f"http://127.0.0.1:{self.provider_port}",
            "PROG_FAULTS_BREAK": self.cast.broken,
        }
        return Actor(name, role, argv, environment, self.directory / f"{name}.log")

    def _socket(self, route: str) -> Path:
        """The file that one process dials for one server; PostgreSQL's clients fix its name."""
        name, _, server = route.partition("/")
        return self.directory / f"{name}-{server}" / (".s.PGSQL.5432" if server == "database" else "valkey")


GROUPS: Final = (COMMANDS, EVENTS)
"""The consumer groups that the workers serve."""
