"""What a batch of 500 may cost, counted instead of timed: round trips to the broker, statements to the database."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from prog_broker import Domain, Transaction, relay, sql
from prog_broker.bus import Bus
from prog_broker.reading import BLOCK_SECONDS
from prog_broker.redis.connection import Client, Prompt, connect
from prog_broker.redis.streams import StreamPublisher
from prog_broker.redis.transport import RedisTransport
from prog_broker.relay import Relay
from prog_broker.worker import Worker
from prog_contracts.ids import new_id
from prog_contracts.tenants import TenantUpdated
from prog_infra.bench.bus import contests, message
from prog_infra.bench.bus.sides.settling import until_settled
from prog_kit.database import Database
from prog_kit.settings import Settings
from tests.servers import TestServers

BATCHES = 6
MESSAGES = BATCHES * message.BATCH
STREAM = message.TOPIC.stream(0)
WAIT_SECONDS = 60.0


@pytest.fixture
def packets(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What this process sends to Redis from now on, a round trip an element."""
    sent: list[bytes] = []
    send = Prompt.send_packed_command

    async def noted(self: Prompt, command: Any, *arguments: Any, **options: Any) -> None:
        sent.append(command if isinstance(command, bytes) else b"".join(command))
        await send(self, command, *arguments, **options)

    monkeypatch.setattr(Prompt, "send_packed_command", noted)
    return sent


@pytest.fixture
def postgres(lone_postgres: str) -> str:
    """What the relay, replays and the trail read waits for older transactions, of which there are none here."""
    return lone_postgres


@pytest.fixture
async def statements(servers: TestServers, postgres: str) -> Callable[[str], Counter[str]]:
    """Counts the statements that a role's connections, opened from now on, have sent to the test's database."""
    database = urlsplit(postgres).path.lstrip("/")
    connection = await asyncpg.connect(postgres)
    await connection.execute(f"ALTER DATABASE {database} SET log_statement = 'all'")
    await connection.close()
    log = servers._directory / "postgres.log"
    beginning = log.stat().st_size
    return lambda role: Counter(_logged(log, beginning, f"{role}@{database}"))


@pytest.fixture(autouse=True)
def _no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, batches are full: an intake makes smaller ones of messages that take long."""
    monkeypatch.setattr("prog_broker.intake.BATCH_SECONDS", 3600.0)


@pytest.fixture
def settings(postgres: str, valkey_url: str) -> Settings:
    return Settings(
        database_url=postgres, redis_url=valkey_url, secret_keys=("0123456789abcdef" * 4,), process_name="worker-1"
    )


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Client]:
    client = connect(valkey_url)
    yield client
    await client.aclose()


async def test_500_messages_are_published_in_four_round_trips(valkey_url: str, packets: list[bytes]) -> None:
    """A quarter at a time: while the broker takes one, the next is made."""
    async with Bus(valkey_url) as bus:
        await bus.publish_many([message.body(message.FIRST)] * 2)
        packets.clear()
        await bus.publish_many([message.body(message.FIRST + number) for number in range(message.BATCH)])
        assert [bodies(packet) for packet in packets] == [message.BATCH // 4] * 4


async def test_the_library_reads_a_batch_and_keeps_its_position_in_one_round_trip(
    valkey_url: str, client: Client, packets: list[bytes]
) -> None:
    await fill(client)
    handled: list[int] = []
    bus = Bus(valkey_url)

    @bus.subscribe_batch(message.Body, group="crm")
    async def handle(bodies: list[message.Body]) -> None:
        handled.append(len(bodies))

    packets.clear()
    started = time.monotonic()
    await bus.start()
    await asyncio.wait_for(until_settled(client, STREAM, "crm"), WAIT_SECONDS)
    waited = time.monotonic() - started
    await bus.close()
    assert handled == [message.BATCH] * BATCHES
    kept = [packet for packet in packets if b"SETID" in packet and STREAM.encode() in packet]
    assert len(kept) == BATCHES
    assert sum(b"XREAD" in packet for packet in kept) >= BATCHES - 1, "the next batch is read along"
    assert reads(packets) <= BATCHES + 2 + waited / BLOCK_SECONDS


async def test_a_worker_reads_once_acknowledges_once_admits_once_and_commits_once_a_batch(
    settings: Settings, client: Client, packets: list[bytes], statements: Callable[[str], Counter[str]]
) -> None:
    await fill(client)
    handled: list[int] = []
    domain = Domain(message.GROUP)

    @domain.handles_batch(message.Body)
    async def handle(bodies: list[message.Body], tx: Transaction) -> None:
        handled.append(len(bodies))

    packets.clear()
    async with worked_off(domain, settings, client) as waited:
        assert handled == [message.BATCH] * BATCHES
        assert acknowledgements(packets) == BATCHES
        assert reads(packets) <= BATCHES + 2 + waited / BLOCK_SECONDS
        spent = of_batches(statements(f"prog_{message.GROUP}"))
    assert spent.pop(normal(sql.ADMIT_EVENTS)) == BATCHES
    assert BATCHES <= commits(spent) <= BATCHES + 2 + waited
    assert not spent, "and nothing else: no row is touched a second time"


async def test_what_handlers_return_costs_one_statement_a_batch(
    settings: Settings, client: Client, statements: Callable[[str], Counter[str]]
) -> None:
    await fill(client)
    domain = Domain(message.GROUP)

    @domain.handles_batch(message.Body)
    async def handle(bodies: list[message.Body], tx: Transaction) -> list[TenantUpdated]:
        return [TenantUpdated(tenant_id=new_id("tenant"), name=body.customer, status="active") for body in bodies]

    async with worked_off(domain, settings, client) as waited:
        spent = of_batches(statements(f"prog_{message.GROUP}"))
    assert spent.pop(normal(sql.FINISH)) == BATCHES, "by itself, as it is too large to go with the COMMIT"
    assert spent.pop(normal(sql.ADMIT_EVENTS)) == BATCHES
    assert BATCHES <= commits(spent) <= BATCHES + 2 + waited
    assert not spent


async def test_the_relay_fetches_once_publishes_once_and_moves_once_a_batch(
    settings: Settings, client: Client, packets: list[bytes], statements: Callable[[str], Counter[str]]
) -> None:
    admin = await asyncpg.connect(settings.database_url)
    try:
        await contests.append(admin, list(message.envelopes(MESSAGES, range(message.TOPIC.partitions))))
    finally:
        await admin.close()
    database = await Database.connect(settings.database_url, "prog_relay", max_size=2)
    transport = RedisTransport(settings)
    try:
        packets.clear()
        assert await Relay(database, transport, client).run_once() == MESSAGES
        publishing = [bodies(packet) for packet in packets if bodies(packet)]
        assert set(publishing) == {message.BATCH}
        assert BATCHES <= len(publishing) <= BATCHES + 1, "the first one twice, where the server has no script yet"
        spent = statements("prog_relay")
        assert spent[normal(relay.PENDING)] == BATCHES + 1, "the last one finds nothing"
        assert moves(spent) == [BATCHES]
    finally:
        await database.close()
        await transport.close()


async def test_the_relay_asks_once_and_moves_once_for_what_a_commit_has_told_it_of(
    settings: Settings, client: Client, statements: Callable[[str], Counter[str]]
) -> None:
    admin = await asyncpg.connect(settings.database_url)
    database = await Database.connect(settings.database_url, "prog_relay", max_size=2)
    transport = RedisTransport(settings)
    relaying = Relay(database, transport, client)
    try:
        await relaying.run_once()
        before = statements("prog_relay")
        await contests.append(admin, list(message.envelopes(1, range(message.TOPIC.partitions))))
        assert await relaying.run_once(events_alone=True) == 1
        spent = statements("prog_relay") - before
        assert spent.pop(normal(relay.PENDING)) == 1
        assert moves(spent) == [1]
        assert len(spent) == 1, "nothing else"
    finally:
        await database.close()
        await transport.close()
        await admin.close()


def moves(spent: Counter[str]) -> list[int]:
    """How often the relay's cursor was moved, by each statement that does."""
    return [count for statement, count in spent.items() if statement.startswith("UPDATE bus.relay_cursors")]


async def fill(client: Client) -> None:
    """BATCHES of 500, all there before anybody reads."""
    publisher = StreamPublisher(client)
    await publisher.send([(message.TOPIC, envelope) for envelope in message.envelopes(MESSAGES)])


@asynccontextmanager
async def worked_off(domain: Domain, settings: Settings, client: Client) -> AsyncIterator[float]:
    """A worker that has settled everything; yields the seconds that it took."""
    worker = Worker([domain], settings)
    started = time.monotonic()
    await worker.start()
    try:
        await asyncio.wait_for(until_settled(client, STREAM, domain.name), WAIT_SECONDS)
        yield time.monotonic() - started
    finally:
        await worker.stop()


def bodies(packet: bytes) -> int:
    """How many messages a packet carries."""
    return packet.count(b'"order_id":')


def reads(packets: list[bytes]) -> int:
    return sum(b"XREAD" in packet and STREAM.encode() in packet for packet in packets)


def acknowledgements(packets: list[bytes]) -> int:
    return sum(b"XGROUP" in packet and b"SETID" in packet and STREAM.encode() in packet for packet in packets)


def commits(spent: Counter[str]) -> int:
    """Takes out all commits: the batches' own, and those of asyncpg's transactions, which end in a semicolon."""
    return spent.pop("COMMIT", 0) + spent.pop("COMMIT;", 0)


def of_batches(spent: Counter[str]) -> Counter[str]:
    """Commits, and what touches messages: not what a worker does by the clock, or once when it starts."""
    known = {normal(getattr(sql, name)) for name in ("DUE_RETRIES", "NEXT_DUE_SECONDS", "ORPHANED")}
    return Counter(
        {
            statement: count
            for statement, count in spent.items()
            if statement.rstrip(";") == "COMMIT" or (_OF_MESSAGES.search(statement) and statement not in known)
        }
    )


def normal(statement: str) -> str:
    return " ".join(statement.split())


_OF_MESSAGES = re.compile(r"\bbus\.(inbox|event_log|retries|dead_letters|finish)\b")
_LINE = re.compile(r"^\S+ \S+ \S+ \[\d+\] (?P<who>\S+@\S+) LOG:  (?:statement|execute [^:]*): (?P<text>.*)$")


def _logged(log: Path, beginning: int, who: str) -> Iterator[str]:
    """The statements of a connection in the server's log; further lines of one begin with a tab."""
    with log.open("rb") as file:
        file.seek(beginning)
        lines = file.read().decode("utf-8", "replace").splitlines()
    current: list[str] | None = None
    for line in [*lines, ""]:
        if line.startswith("\t") and current is not None:
            current.append(line)
            continue
        if current is not None:
            yield normal(" ".join(current))
        match = _LINE.match(line)
        current = [match["text"]] if match is not None and match["who"] == who else None
