"""The life of one platform on one machine: servers, schema, processes, first administrator, until told to stop."""

import asyncio
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from prog_infra.errors import OperatorError
from prog_infra.local import programs
from prog_infra.local.directory import DataDirectory
from prog_infra.local.supervisor import Program, StopRequested, Supervisor
from prog_infra.local.terminal import Terminal
from prog_infra.servers import Kafka, Postgres, Valkey, free_port, is_free

if TYPE_CHECKING:
    from prog_kit.settings import Settings

DATABASE = "prognetwork"
READY_SECONDS = 60.0
_BACKLOG = 2048


@dataclass(frozen=True, slots=True)
class Options:
    """What `prog up` was asked for."""

    data: Path
    host: str
    port: int
    fresh: bool
    broker: str | None = None
    with_parent: bool = False
    edges: int = 1


_NAMES = {"redis": "Redis", "kafka": "Kafka"}
_PLACEHOLDERS = {
    "PROG_DATABASE_URL": "postgresql://embedded/prognetwork",
    "PROG_REDIS_URL": "redis://embedded:6379/0",
    "PROG_SECRET_KEYS": "filled-in-when-the-data-directory-is-open",
}
"""Stand for what `prog up` fills in by itself, while the rest is checked."""


class Platform:
    """Servers and processes under one supervisor. `up` returns when it was told to stop and all of it has ended."""

    def __init__(self, options: Options, terminal: Terminal) -> None:
        self._options = options
        self._terminal = terminal
        self._directory = DataDirectory(options.data)
        self._own = {name: value for name, value in os.environ.items() if name.startswith("PROG_")}
        self._postgres = None if _given(self._own, "PROG_DATABASE_URL") else Postgres(self._directory.postgres)
        self._valkey = None if _given(self._own, "PROG_REDIS_URL") else self._local_valkey()
        self._broker = "redis"
        self._kafka: Kafka | None = None
        self._listening: socket.socket | None = None

    def _local_valkey(self) -> Valkey:
        fsync = self._own.get("PROG_VALKEY_FSYNC") or "everysec"
        return Valkey(self._directory.valkey, settings={"appendfsync": fsync})

    def up(self) -> None:
        """Start everything, tell where it is, supervise until a signal, and end all of it.

        Raises OperatorError when something cannot start; nothing is left running then either.
        """
        settings = self._check_settings()
        self._directory.open(fresh=self._options.fresh)
        self._check_port()
        self._choose_broker(settings.effective_broker_url)
        supervisor = Supervisor(self._directory.logs, self._terminal.say, with_parent=self._options.with_parent)
        supervisor.watch_signals()
        try:
            self._start(supervisor)
            supervisor.run()
            self._terminal.say("stopping; Ctrl-C once more stops at once")
        except StopRequested:
            self._terminal.say("stopping before all of it was up")
        finally:
            supervisor.stop()
            if self._listening is not None:
                self._listening.close()
            if self._postgres is not None:
                self._postgres.clear_sockets()
            self._directory.close()
        self._terminal.say("stopped; nothing is left running")

    def _check_settings(self) -> "Settings":
        """Tells what is wrong with the settings that were given before anything starts. Raises SettingsError."""
        from prog_kit.settings import Settings, misspelt

        given = {name: value for name, value in _PLACEHOLDERS.items() if not _given(self._own, name)}
        settings = Settings.load({**os.environ, **given})
        for told in misspelt(self._own):
            self._terminal.say(told)
        return settings

    def _start(self, supervisor: Supervisor) -> None:
        began = time.perf_counter()
        with self._phase("servers"):
            servers = self._start_servers(supervisor)
        with self._phase("code"):
            programs.preload(*(["prog_broker.kafka.transport"] if self._broker == "kafka" else []))
        with self._phase("PostgreSQL and Valkey" if self._kafka is None else "PostgreSQL, Valkey, Kafka"):
            supervisor.wait_ready(servers, within_seconds=READY_SECONDS)
        variables = self._variables()
        environment = {**os.environ, **variables}
        with self._phase("schema"):
            supervisor.start(programs.task(supervisor, "migrate", _migrate, environment, title="prog migrate"))
            supervisor.wait_ready(["migrate"], within_seconds=READY_SECONDS)
        self._directory.remember_broker(self._broker)
        with self._phase("processes"):
            self._start_processes(supervisor, environment)
        self._directory.remember_platform(variables)
        self._terminal.ready(variables, self._directory, time.perf_counter() - began)

    def _start_servers(self, supervisor: Supervisor) -> list[str]:
        names = []
        for name, server in (("kafka", self._kafka), ("valkey", self._valkey), ("postgres", self._postgres)):
            if server is not None:
                supervisor.start(programs.server(name, server))
                names.append(name)
        return names

    def _start_processes(self, supervisor: Supervisor, environment: Mapping[str, str]) -> None:
        """All but the servers. The edges share one listening socket, so that none of them is missed when it restarts:
        what waits on the socket is taken by another, or by itself when it is back."""
        edges = programs.edges(self._options.edges)
        self._listening = socket.create_server(
            (self._options.host, self._options.port),
            family=socket.AF_INET6 if ":" in self._options.host else socket.AF_INET,
            backlog=_BACKLOG,
        )
        environment = {**environment, "PROG_LISTEN_FD": str(self._listening.fileno())}
        probes = {
            programs.EDGE.name: programs.answers_http(int(environment["PROG_PORT"]), "/readyz"),
            programs.MAILBOX.name: programs.accepts(int(environment["PROG_SMTP_LISTEN_PORT"])),
        }
        wanted = [
            process
            for process in (*programs.PROCESSES, *edges[1:])
            if process is not programs.MAILBOX or environment["PROG_SMTP_LISTEN_PORT"] != "0"
        ]
        for process in wanted:
            supervisor.start(programs.process(supervisor, process, environment, probes.get(process.name)))
        names = [process.name for process in wanted]
        if not self._directory.has_administrator():
            supervisor.start(self._administrator(supervisor, environment))
            names.append("administrator")
        supervisor.wait_ready(names, within_seconds=READY_SECONDS)

    def _administrator(self, supervisor: Supervisor, environment: Mapping[str, str]) -> Program:
        def main() -> int:
            from prog_infra.local.administrator import ensure

            sign_in = self._directory.administrator()
            ensure(sign_in["email"], sign_in["password"])
            self._directory.confirm_administrator()
            return 0

        return programs.task(supervisor, "administrator", main, environment, title="prog up: administrator")

    def _variables(self) -> dict[str, str]:
        """The settings of the platform: what the environment gives, and all that it leaves open."""
        smtp_port = free_port()
        reached_at = "127.0.0.1" if self._options.host in ("0.0.0.0", "::") else self._options.host  # noqa: S104
        filled = {
            "PROG_ENV": "development",
            "PROG_HOST": self._options.host,
            "PROG_PORT": str(self._options.port),
            "PROG_PUBLIC_URL": f"http://{reached_at}:{self._options.port}",
            "PROG_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
            "PROG_SMTP_LISTEN_PORT": str(smtp_port),
            "PROG_PRODUCERS_FILE": str(self._directory.path / "producers.json"),
        }
        if self._postgres is not None:
            filled["PROG_DATABASE_URL"] = self._postgres.url(DATABASE)
        if self._valkey is not None:
            filled["PROG_REDIS_URL"] = self._valkey.local_url()
        if self._kafka is not None:
            filled["PROG_BROKER_URL"] = self._kafka.url()
        if not _given(self._own, "PROG_SECRET_KEYS"):
            filled["PROG_SECRET_KEYS"] = self._directory.secret_keys()
        if any(_given(self._own, name) for name in ("PROG_SMTP_URL", "PROG_SENDGRID_API_KEY")):
            filled["PROG_SMTP_LISTEN_PORT"] = "0"
            filled.pop("PROG_SMTP_URL")
        taken = {name for name in filled if _given(self._own, name)} - {"PROG_PORT", "PROG_HOST"}
        return self._own | {name: value for name, value in filled.items() if name not in taken}

    def _choose_broker(self, url: str) -> None:
        """By the address that is given, else as asked for, else as the last time, else Redis.

        Raises OperatorError when these contradict each other, or a Kafka of ours lacks what it needs.
        """
        asked, last = self._options.broker, self._directory.broker()
        if _given(self._own, "PROG_BROKER_URL"):
            self._broker = "kafka" if url.startswith("kafka://") else "redis"
            if asked not in (None, self._broker):
                raise OperatorError(
                    f"--broker {asked} contradicts PROG_BROKER_URL, which names {_NAMES[self._broker]}",
                    remedy="unset PROG_BROKER_URL, or leave --broker away",
                )
        else:
            self._broker = asked or last or "redis"
            self._kafka = Kafka(self._directory.kafka) if self._broker == "kafka" else None
        if last not in (None, self._broker):
            self._terminal.say(
                f"messages travel over {_NAMES[self._broker]} from now on; what nobody had handled yet waits in"
                f" {_NAMES[str(last)]} until that is the broker again"
            )
        elif self._kafka is not None and asked is None:
            self._terminal.say("messages travel over Kafka, as the last time")
        if self._kafka is not None:
            self._kafka.fetch(self._terminal.say)

    def _check_port(self) -> None:
        if not is_free(self._options.port, self._options.host):
            raise OperatorError(
                f"port {self._options.port} of {self._options.host} is taken{_holder(self._options.port)}",
                remedy="stop that program, or use another one with --port",
            )

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        self._terminal.begin(name)
        yield
        self._terminal.done(name, time.perf_counter() - began)


def _migrate() -> int:
    """Runs in a fork: the embedded server's database is made here, the first time."""
    from prog_infra import migrations

    url = os.environ["PROG_DATABASE_URL"]

    async def work() -> None:
        await migrations.create_database(url)
        await migrations.migrate(url)

    asyncio.run(work())
    return 0


def _given(variables: Mapping[str, str], name: str) -> bool:
    return bool(variables.get(name) or variables.get(f"{name}_FILE"))


def _holder(port: int) -> str:
    """Who listens on the port, when we may know it."""
    import psutil

    try:
        for connection in psutil.net_connections("tcp"):
            listens = connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
            if listens and connection.pid:
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except (psutil.Error, OSError):
        return ""
    return ""
