"""What a test hands on to the next one is as it was when it was new: connections, and the loop that they are on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from typing import Any

import asyncpg
import pytest

from tests import lasting
from tests.lasting import Kept

Test = Callable[[], Coroutine[Any, Any, Any]]


@pytest.fixture
def kept() -> Iterator[Kept]:
    kept = Kept()
    yield kept
    kept.end()


def run(kept: Kept, test: Test) -> Any:
    """As a test runs: on a runner of its own, which ends what is left."""
    with asyncio.Runner(loop_factory=lambda: kept.loop) as runner:
        return runner.run(test())


@pytest.mark.parametrize(
    ("change", "shows", "as_new"),
    [
        ("SET search_path = elsewhere", "SHOW search_path", '"$user", public'),
        ("SET ROLE prog_users", "SELECT current_user::text", "postgres"),
        ("SET SESSION AUTHORIZATION prog_users", "SELECT session_user::text", "postgres"),
        ("CREATE TEMP TABLE mine (a int)", "SELECT to_regclass('mine')::text", None),
        ("SELECT pg_advisory_lock(1)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0),
        ("LISTEN something", "SELECT count(*) FROM pg_listening_channels()", 0),
    ],
)
def test_an_administrator_is_handed_on_as_new(
    kept: Kept, postgres: str, change: str, shows: str, as_new: object
) -> None:
    async def test(statement: str) -> tuple[int, object]:
        async with kept.administrator(postgres) as connection:
            return connection.get_server_pid(), await connection.fetchval(statement)

    first, _ = run(kept, lambda: test(change))
    assert run(kept, lambda: test(shows)) == (first, as_new)
    assert kept.sessions == {first}


def test_an_administrator_in_a_transaction_is_not_handed_on(kept: Kept, postgres: str) -> None:
    async def left() -> int:
        async with kept.administrator(postgres) as connection:
            await connection.execute("BEGIN")
            return connection.get_server_pid()

    async def another() -> int:
        async with kept.administrator(postgres) as connection:
            return connection.get_server_pid()

    first = run(kept, left)
    assert first not in kept.sessions
    assert run(kept, another) != first


def test_a_pool_is_handed_on_unless_somebody_still_has_a_connection_of_it(kept: Kept, postgres: str) -> None:
    async def used() -> int:
        async with kept.database(postgres, "prog_users") as database, database.scope() as connection:
            pid: int = await connection.fetchval("SELECT pg_backend_pid()")
        return pid

    async def borrowed() -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("prog_kit.database.CLOSE_SECONDS", 0.0)
            async with kept.database(postgres, "prog_users") as database:
                await database.pool.acquire()

    first = run(kept, used)
    assert run(kept, used) == first
    run(kept, borrowed)
    assert run(kept, used) != first


@pytest.mark.parametrize(
    ("change", "shows", "as_new"),
    [
        ("SET search_path = elsewhere", "SHOW search_path", '"$user", public'),
        ("SELECT pg_advisory_lock_shared(1)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0),
        ("LISTEN something", "SELECT count(*) FROM pg_listening_channels()", 0),
    ],
)
def test_every_connection_of_a_pool_is_handed_on_as_new(
    kept: Kept, postgres: str, change: str, shows: str, as_new: object
) -> None:
    async def test(statement: str) -> dict[int, object]:
        async with (
            kept.database(postgres, "prog_users") as database,
            database.pool.acquire() as one,
            database.pool.acquire() as other,
        ):
            return {each.get_server_pid(): await each.fetchval(statement) for each in (one, other)}

    first = run(kept, lambda: test(change))
    assert len(first) == 2
    assert run(kept, lambda: test(shows)) == dict.fromkeys(first, as_new)
    assert kept.sessions == set(first)


def test_what_a_test_raised_ends_its_connection(kept: Kept, postgres: str) -> None:
    async def fails() -> None:
        async with kept.administrator(postgres) as connection:
            await connection.execute("SELECT 1")
            raise RuntimeError("as it was asked to")

    with pytest.raises(RuntimeError, match="asked to"):
        run(kept, fails)
    assert kept.sessions == set()


def test_connections_of_a_database_that_is_gone_are_forgotten(kept: Kept, postgres: str) -> None:
    async def used(ends: bool) -> int:
        async with kept.administrator(postgres) as connection:
            pid: int = connection.get_server_pid()
        if ends:
            other = await asyncpg.connect(postgres)
            await other.fetchval("SELECT pg_terminate_backend($1, 5000)", pid)
            await other.close()
        return pid

    gone = run(kept, lambda: used(ends=True))
    assert run(kept, lambda: used(ends=False)) != gone


def test_a_loop_begins_anew_for_each_test(kept: Kept) -> None:
    """Tasks, asynchronous generators and threads of one do not reach the next, which may have its own."""
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("task")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            ended.append("generator")

    async def test() -> int:
        task, generator = asyncio.create_task(waits()), numbers()
        left.extend((task, generator))
        await anext(generator)
        return await asyncio.get_running_loop().run_in_executor(None, lambda: 7)

    left: list[object] = []
    for _ in range(2):
        assert run(kept, test) == 7
        assert sorted(ended) == ["generator", "task"]
        ended.clear()


def test_the_kept_ones_end_with_the_tests(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "_kept", None)
    mine = lasting.kept()
    assert lasting.kept() is mine

    async def used() -> None:
        async with mine.administrator(postgres):
            pass

    run(mine, used)
    assert lasting.sessions() == [*mine.sessions]
    Kept().end()
    assert lasting.kept() is mine, "another one's end is not this one's"
    mine.end()
    assert mine.loop.is_closed()
    assert lasting.sessions() == []


def test_two_at_once_are_both_handed_on(kept: Kept, postgres: str) -> None:
    async def used() -> set[int]:
        async with kept.administrator(postgres) as one, kept.administrator(postgres) as other:
            return {one.get_server_pid(), other.get_server_pid()}

    first = run(kept, used)
    assert len(first) == 2
    assert run(kept, used) == first
