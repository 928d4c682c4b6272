"""The embedded servers for tests: real PostgreSQL and Valkey, one pair for each test process, gone when it ends.

They start when the first test asks for them, with persistence off, and die with the process even if it is killed. A
test's own database is a copy of a template, or one that another test has used and that is as new again
(`tests.emptying`). All that takes longer than many tests, and longer still on a server that waits for
connections that were just closed, so nobody waits for it: the next one is made while a test runs, and its own is
emptied or dropped while the next one does. These are transactions, though, and what reads behind the oldest one of the
server (relay, replays, the audit trail) sees nothing newer meanwhile: tests of that have the server to themselves
(`lone_database`).
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import deque
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self, TypeVar

import asyncpg

from prog_infra.local.platform import DATABASE
from prog_infra.servers import Postgres, Valkey
from tests.clusters import FAST, Clusters
from tests.emptying import Emptier
from tests.running import run

Result = TypeVar("Result")

TEMPLATE = "prognetwork_template"
_FAST_VALKEY = {"appendonly": "no"}


class TestServers:
    """Starts each server when it is first asked for; `close` ends both."""

    __test__ = False

    def __init__(self, directory: Path, clusters: Clusters) -> None:
        self._directory = directory
        self._clusters = clusters
        self._exits = ExitStack()
        self._numbers = itertools.count(1)
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None
        self._ready: deque[tuple[str, Future[bool]]] = deque()
        self._dropped: Future[None] | None = None
        self._emptier = Emptier()

    def close(self) -> None:
        with self._exits:
            while self._ready:
                self._ready.popleft()[1].result()

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            server = Postgres(self._directory / "postgres", settings=FAST)
            if not server.directory.exists():
                self._clusters.copy_to(server.directory)
            self._exits.enter_context(server.running(self._directory / "postgres.log"))
            run(self._make_template(server))
            self._postgres = server
        return self._postgres

    @property
    def valkey(self) -> Valkey:
        if self._valkey is None:
            server = Valkey(self._directory / "valkey", settings=_FAST_VALKEY)
            self._valkey = self._exits.enter_context(server.running(self._directory / "valkey.log"))
        return self._valkey

    def new_database(self) -> str:
        """A fresh database with the current schema; its name."""
        name = self._next_database()
        if not self._ready:
            self._ready.append(self._begin_copy())
        return name

    def give_back(self, name: str) -> None:
        """Begin to make it as new for another test."""
        self._ready.append((name, self._dropper.submit(self._empty_or_drop(name))))

    @contextmanager
    def lone_database(self) -> Iterator[str]:
        """A fresh database with the current schema; its name. Nothing is copied or dropped while it is in use."""
        name = self._next_database()
        for _, ready in self._ready:
            ready.result()
        if self._dropped is not None:
            self._dropped.result()
        yield name
        self.give_back(name)

    def _next_database(self) -> str:
        while True:
            name, ready = self._ready.popleft() if self._ready else self._begin_copy()
            if ready.result():
                return name

    def empty_database(self) -> str:
        """A fresh database with no schema at all, for tests of the migrations; its name."""
        name = f"empty_{next(self._numbers)}"
        self._maker.begin(f"CREATE DATABASE {name}").result()
        return name

    def drop_database(self, name: str) -> None:
        """Begin to drop it. Raises what went wrong with the one before."""
        if self._dropped is not None:
            self._dropped.result()
        self._dropped = self._dropper.begin(_drop(name))

    def empty_valkey(self) -> str:
        """Forget everything in Valkey; its address."""
        server = self.valkey
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(f"AUTH {server.password}\r\nFLUSHALL\r\n".encode())
            answer = b""
            while answer.count(b"\n") < 2:
                answer += connection.recv(64)
        assert answer == b"+OK\r\n+OK\r\n", answer
        return server.url()

    async def _make_template(self, server: Postgres) -> None:
        connection = await asyncpg.connect(server.url())
        await connection.execute(f"ALTER DATABASE {DATABASE} RENAME TO {TEMPLATE}")
        await connection.close()
        template = await asyncpg.connect(server.url(TEMPLATE))
        await self._emptier.learn(template)
        await template.close()

    def _begin_copy(self) -> tuple[str, Future[bool]]:
        name = f"test_{next(self._numbers)}"
        return name, self._maker.submit(self._copy(name))

    async def _copy(self, name: str) -> bool:
        await self._maker.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
        return True

    async def _empty_or_drop(self, name: str) -> bool:
        url = self.postgres.url(name)
        if await self._emptier.empty(url):
            return True
        await self._emptier.forget(url)
        await self._dropper.execute(_drop(name))
        return False

    @cached_property
    def _maker(self) -> Administrator:
        return self._exits.enter_context(Administrator(self.postgres.url()))

    @cached_property
    def _dropper(self) -> Administrator:
        dropper = self._exits.enter_context(Administrator(self.postgres.url()))
        self._exits.callback(lambda: dropper.submit(self._emptier.close()).result())
        return dropper


class Administrator:
    """One connection for many statements, one after the other: a new one each time takes a fifth of a copy.

    It lives in a loop of its own thread, so that fixtures may use it whatever loop the test has.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._thread = ThreadPoolExecutor(1)
        self._runner = asyncio.Runner()
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def begin(self, statement: str) -> Future[None]:
        return self.submit(self.execute(statement))

    def submit(self, work: Coroutine[Any, Any, Result]) -> Future[Result]:
        """Have it done in the loop of this thread."""
        return self._thread.submit(lambda: self._runner.run(work))

    async def execute(self, statement: str) -> None:
        if self._connection is None:
            self._connection = await asyncpg.connect(self._url)
        await self._connection.execute(statement)

    def _close(self) -> None:
        if self._connection is not None:
            self._runner.run(self._connection.close())
        self._runner.close()


def _drop(name: str) -> str:
    return f"DROP DATABASE {name} WITH (FORCE)"
