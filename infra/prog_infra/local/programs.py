"""What `prog up` runs: the embedded servers, and the platform's processes as forks with stable names.

A process's name goes to it as PROG_PROCESS_NAME, so that after a restart it takes its own leases back at once.
"""

import http.client
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module

from prog_infra.commands._processes import no_collection
from prog_infra.local import children
from prog_infra.local.supervisor import SERVERS, Program, Supervisor
from prog_infra.servers import Kafka, Postgres, Valkey
from prog_infra.servers.valkey import HOST

PRELOADED = (
    "asyncpg",
    "redis.asyncio",
    "faststream.redis",
    "pydantic",
    "structlog",
    "prog_kit.settings",
    "prog_kit.database",
    "prog_kit.logging",
    "prog_kit.secrets",
    "prog_kit.telemetry",
    "prog_contracts.catalogue",
    "prog_contracts.scim",
    "prog_broker.processing",
    "prog_broker.client",
    "prog_infra.commands._processes",
    "prog_infra.migrations",
)
"""What most processes import, and nothing that starts a thread: forks of a process with threads are not safe."""


_READY = b'"event": "ready"'


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the platform: `prog ARGUMENTS` under `name`."""

    name: str
    arguments: tuple[str, ...]
    stage: int = 1
    says_when_ready: bytes | None = None


EDGE = Process("edge", ("edge",), stage=0, says_when_ready=_READY)
MAILBOX = Process("mailbox", ("mailbox",))
PROCESSES = (
    Process("worker-core", ("worker", "users", "tenants", "payments", "email"), says_when_ready=_READY),
    Process("worker-observe", ("worker", "monitoring", "events"), says_when_ready=_READY),
    EDGE,
    Process("relay", ("relay",), says_when_ready=b'"event": "active"'),
    Process("scheduler", ("scheduler",), says_when_ready=_READY),
    MAILBOX,
)


def edges(count: int) -> tuple[Process, ...]:
    """So many edges, each with a name of its own; the first keeps the one that a single edge has."""
    return tuple(
        replace(EDGE, name=EDGE.name if number == 1 else f"{EDGE.name}-{number}") for number in range(1, count + 1)
    )


def preload(*more: str) -> None:
    """Import what the processes have in common. What is not there is left to the process that misses it."""
    with no_collection():
        for name in (*PRELOADED, *more):
            try:
                import_module(name)
            except ImportError:
                continue


def server(name: str, embedded: Postgres | Valkey | Kafka) -> Program:
    """An embedded server under supervision."""
    return Program(
        name,
        start=lambda output: children.start_program(embedded.launch(), output),
        prepare=embedded.prepare,
        is_ready=_seldom(embedded.is_ready) if isinstance(embedded, Kafka) else embedded.is_ready,
        stop_signal=embedded.death_signal,
        stage=SERVERS,
    )


def process(
    supervisor: Supervisor,
    process: Process,
    environment: Mapping[str, str],
    is_ready: Callable[[], bool] | None = None,
) -> Program:
    """One process of the platform under supervision."""
    program = command(supervisor, process.name, process.arguments, environment)
    quiet = environment.get("PROG_LOG_LEVEL", "info") not in ("debug", "info")
    awaited = None if quiet else process.says_when_ready
    return replace(program, is_ready=is_ready, says_when_ready=awaited, stage=process.stage, once=False)


def command(supervisor: Supervisor, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Program:
    """`prog ARGUMENTS`, once, in a fork."""

    def main() -> int:
        from prog_infra import cli

        return cli.run(arguments)

    return task(supervisor, name, main, environment, title=f"prog {' '.join(arguments)}")


def task(
    supervisor: Supervisor, name: str, main: Callable[[], int], environment: Mapping[str, str], *, title: str
) -> Program:
    """`main`, once, in a fork; it returns the exit code."""

    def start(output: int) -> children.Child:
        return children.fork(
            main,
            title=title,
            environment={**environment, "PROG_PROCESS_NAME": name},
            output=output,
            forget=supervisor.forget,
        )

    return Program(name, start, once=True)


def answers_http(port: int, path: str) -> Callable[[], bool]:
    """Whether GET `path` answers 200."""

    def probe() -> bool:
        connection = http.client.HTTPConnection(HOST, port, timeout=2)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except OSError:
            return False
        except http.client.HTTPException:
            return False
        finally:
            connection.close()

    return _seldom(probe)


def accepts(port: int) -> Callable[[], bool]:
    """Whether somebody listens on the loopback port."""

    def probe() -> bool:
        try:
            socket.create_connection((HOST, port), timeout=2).close()
        except OSError:
            return False
        return True

    return _seldom(probe)


def _seldom(probe: Callable[[], bool], every_seconds: float = 0.05) -> Callable[[], bool]:
    """The probe, at most so often: each one interrupts who is just starting."""
    last = 0.0

    def limited() -> bool:
        nonlocal last
        now = time.monotonic()
        if now - last < every_seconds:
            return False
        last = now
        return probe()

    return limited
