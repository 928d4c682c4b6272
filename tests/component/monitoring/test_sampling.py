"""What waits in a real Valkey, in the outbox and among the dead letters is sampled, stored and shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY

from prog_broker.ports import Position, Shard, ShardLag
from prog_broker.redis.connection import Client, connect, raw
from prog_broker.redis.lag import shard_lags
from prog_broker.redis.streams import Positions, ensure_groups
from prog_broker.redis.transport import RedisTransport
from prog_broker.worker import Resources
from prog_contracts.envelope import wrap
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id, new_message_id
from prog_contracts.monitoring import CloseWindows
from prog_contracts.topics import TOPICS, topic_of
from prog_contracts.users import UserDeleted
from prog_kit.clock import FixedClock
from prog_kit.database import Database
from prog_kit.secrets import Sealer
from prog_kit.settings import Settings
from prog_kit.tasks import cancelled
from prog_workers.monitoring import queries, rules, sampling
from prog_workers.monitoring.sampling import Sampler
from tests.lasting import kept

USERS = TOPICS["prog.users.events"]


@pytest.fixture
async def redis(valkey_url: str) -> AsyncIterator[Client]:
    client = connect(valkey_url)
    yield client
    await client.aclose()


@pytest.fixture
async def database(postgres: str) -> AsyncIterator[Database]:
    async with kept().database(postgres, "prog_monitoring") as database:
        yield database


@pytest.fixture
async def resources(environment: dict[str, str], redis: Client, database: Database) -> AsyncIterator[Resources]:
    settings = Settings.load(environment)
    transport = RedisTransport(settings)
    yield Resources(settings, database, Sealer(settings.secret_keys), redis, transport)
    await transport.close()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime.now(UTC) + timedelta(seconds=1))


async def publish(redis: Client, count: int) -> list[bytes]:
    """So many entries in one partition of the users' events."""
    entry: dict[Any, Any] = {"ce": "{}", "data": "{}"}
    entries: list[Any] = [await redis.xadd(USERS.stream(0), entry) for _ in range(count)]
    return entries


async def lags_of(redis: Client) -> dict[str, ShardLag]:
    found = await shard_lags(redis, {USERS.name: USERS.consumers})
    return {lag.group: lag for lag in found if lag.partition == 0}


def at(entry_id: bytes) -> datetime:
    return datetime.fromtimestamp(int(entry_id.split(b"-")[0]) / 1000, UTC)


async def test_what_was_never_read_is_lag(redis: Client) -> None:
    await ensure_groups(redis, [USERS])
    entries = await publish(redis, 3)
    lag = (await lags_of(redis))["email"]
    assert (lag.lag, lag.oldest_at) == (3, at(entries[0]))


async def test_what_is_behind_the_position_of_a_group_is_lag(redis: Client) -> None:
    entries = await publish(redis, 3)
    positions, shard = Positions(redis), Shard("email", USERS, 0)
    await positions.find(shard)
    assert (await lags_of(redis))["email"].lag == 3
    await raw(redis, *positions.command(shard, Position(entries[1], 2)))
    lag = (await lags_of(redis))["email"]
    assert (lag.lag, lag.oldest_at) == (1, at(entries[2]))
    assert (await lags_of(redis))["events"].lag == 3


async def test_the_lag_of_a_group_of_the_platform_is_exact_however_much_waits(redis: Client) -> None:
    """A new group has no number of its own in Redis; one that was told none could not be counted any more."""
    await ensure_groups(redis, [USERS])
    await publish(redis, 20)
    first = await raw(redis, "XRANGE", USERS.stream(0), "-", "+")
    await redis.xtrim(USERS.stream(0), minid=first[5][0], approximate=False)
    entries = await publish(redis, 30)
    positions, shard = Positions(redis), Shard("email", USERS, 0)
    await positions.find(shard)
    await raw(redis, *positions.command(shard, Position(entries[4], 20)))
    [group] = [row for row in await redis.xinfo_groups(USERS.stream(0)) if row["name"] == b"email"]
    assert (group["entries-read"], group["lag"]) == (25, 25)
    again = Positions(redis)
    await again.find(shard)
    await raw(redis, *again.command(shard, Position(entries[29], 25)))
    await publish(redis, 3)
    assert (await lags_of(redis))["email"].lag == 3


async def test_a_group_that_redis_has_no_number_of_is_counted_anew_once_it_has_caught_up(redis: Client) -> None:
    await ensure_groups(redis, [USERS])
    entries = await publish(redis, 10)
    shard = Shard("email", USERS, 0)
    await redis.xgroup_setid(USERS.stream(0), "email", entries[3])
    positions = Positions(redis)
    await positions.find(shard)
    assert positions.counted[shard.name] is None
    await raw(redis, *positions.command(shard, Position(entries[9], 6)))
    await positions.find(shard)
    assert positions.counted[shard.name] == 10


async def test_a_group_that_is_up_to_date_has_no_lag_and_no_oldest(redis: Client) -> None:
    await ensure_groups(redis, [USERS])
    entries = await publish(redis, 2)
    positions, shard = Positions(redis), Shard("email", USERS, 0)
    await positions.find(shard)
    await raw(redis, *positions.command(shard, Position(entries[1], 2)))
    await redis.xtrim(USERS.stream(0), minid="9999999999999-0", approximate=False)
    lag = (await lags_of(redis))["email"]
    assert (lag.lag, lag.oldest_at) == (0, None)


async def test_where_redis_knows_no_lag_the_entries_are_counted(redis: Client) -> None:
    await ensure_groups(redis, [USERS])
    entries = await publish(redis, 5)
    await redis.xgroup_setid(USERS.stream(0), "email", entries[1])
    await redis.xdel(USERS.stream(0), entries[3])
    [group] = [row for row in await redis.xinfo_groups(USERS.stream(0)) if row["name"] == b"email"]
    assert group["lag"] is None
    lag = (await lags_of(redis))["email"]
    assert (lag.lag, lag.oldest_at) == (2, at(entries[2]))
    await publish(redis, 1200)
    assert (await lags_of(redis))["email"].lag == 1202


async def test_entries_wait_for_a_group_that_does_not_exist_yet(redis: Client) -> None:
    entries = await publish(redis, 2)
    lag = (await lags_of(redis))["email"]
    assert (lag.lag, lag.oldest_at) == (2, at(entries[0]))


async def test_an_empty_broker_has_no_lag_anywhere(redis: Client) -> None:
    lags = await shard_lags(redis, rules.readers({}))
    assert {lag.lag for lag in lags} == {0}
    assert len(lags) == sum(len(topic.consumers) * topic.partitions for topic in TOPICS.values())


async def test_a_sample_is_stored_and_shown(
    resources: Resources, redis: Client, clock: FixedClock, postgres: str
) -> None:
    entries = await publish(redis, 4)
    clock.at = at(entries[0]) + timedelta(seconds=7)
    await add_backlog(postgres)
    async with resources.database.pool.acquire() as connection:
        await Sampler(resources, clock).sample(connection)
    labels = {"topic": USERS.name, "group": "email"}
    assert REGISTRY.get_sample_value("prog_consumer_lag", {**labels, "partition": "0"}) == 4
    assert REGISTRY.get_sample_value("prog_consumer_lag", {**labels, "partition": "1"}) == 0
    assert REGISTRY.get_sample_value("prog_consumer_oldest_seconds", labels) == 7
    assert REGISTRY.get_sample_value("prog_dead_letters", {"topic": USERS.name}) == 1
    assert REGISTRY.get_sample_value("prog_outbox_pending") == 1
    edge = await Database.connect(postgres, "prog_edge")
    async with edge.operator() as connection:
        overview = {item.group: item for item in await queries.consumers(connection, clock.at)}
        totals = await queries.totals(connection, clock.at)
        later = await queries.totals(connection, clock.at + timedelta(minutes=1))
    await edge.close()
    assert (overview["email"].lag, overview["email"].oldest_seconds, overview["email"].dead_letters) == (4, 7, 1)
    assert overview["users"].lag == 0
    assert totals.lag == 4 * len(USERS.consumers)
    assert (totals.outbox_pending, totals.dead_letters) == (1, 1)
    assert (later.lag, later.oldest_seconds) == (0, None), "an old sample says nothing about now"


async def test_a_topic_tells_what_waits_for_whom_and_who_reads_it(
    resources: Resources, redis: Client, clock: FixedClock, postgres: str
) -> None:
    entries = await publish(redis, 4)
    clock.at = at(entries[0]) + timedelta(seconds=7)
    async with resources.database.pool.acquire() as connection:
        await Sampler(resources, clock).sample(connection)
    admin = await asyncpg.connect(postgres)
    window = rules.window_start(rules.last_closed_window(clock.at))
    for group, name, messages in (
        ("email", UserDeleted.TYPE, 30),
        ("monitoring", UserDeleted.TYPE, 10),
        ("monitoring", "acme.order.paid", 70),
    ):
        await admin.execute(
            "INSERT INTO monitoring.windows VALUES"
            " ('handler', $1, $2, $3, $4, 1, 0, 0, 0, 0, 0, -1, '', 0, -1, '')",
            window, group, name, messages,
        )  # fmt: skip
    await admin.execute(
        "INSERT INTO bus.shard_leases (consumer_group, topic, partition, owner, token, expires_at) VALUES"
        " ('email', $1, 0, 'one', 1, clock_timestamp() + interval '1 hour'),"
        " ('email', $1, 1, 'two', 1, clock_timestamp() - interval '1 second')",
        USERS.name,
    )
    await admin.execute("INSERT INTO bus.subscriptions VALUES ('tenants', 'prognetwork.tenants.rename_tenant')")
    # The row's trigger says which replay holds a new shard: none here.
    await admin.execute("UPDATE bus.shard_leases SET replay_id = gen_random_uuid() WHERE owner = 'one'")
    await admin.close()

    edge = await Database.connect(postgres, "prog_edge")
    async with edge.operator() as connection:
        topics = {item.topic.name: item.readers for item in await queries.topics(connection, clock.at)}
        later = {
            item.topic.name: item.readers for item in await queries.topics(connection, clock.at + timedelta(minutes=1))
        }
        shards = {(item.group, item.partition): item for item in await queries.shards(connection, USERS, clock.at)}
    await edge.close()

    assert list(topics) == list(TOPICS)
    [orders] = topics["prog.events.events"]
    assert (orders.group, orders.per_second) == ("monitoring", 7.0), "tenants' own events"
    reading = {reader.group: reader.reads for reader in topics[USERS.name]}
    assert reading.pop("tenants") is False, "it has no handler for events of users"
    assert set(reading.values()) == {True}, "a group that has never run is awaited"
    [email] = [reader for reader in topics[USERS.name] if reader.group == "email"]
    assert (email.per_second, email.lag, email.oldest_seconds) == (3.0, 4, 7)
    [email] = [reader for reader in later[USERS.name] if reader.group == "email"]
    assert (email.lag, email.oldest_seconds) == (None, None), "an old sample says nothing about now"
    assert len(shards) == len(USERS.consumers) * USERS.partitions
    mine, over = shards["email", 0], shards["email", 1]
    assert (mine.lag, mine.oldest_seconds, mine.owner, mine.held) == (4, 7, "one", True)
    assert mine.leased_until is not None
    assert (over.lag, over.owner, over.leased_until, over.held) == (0, None, None, False)
    assert (shards["events", 0].lag, shards["events", 0].owner) == (4, None)


async def add_backlog(url: str) -> None:
    """One event that the relay has not published, and one open dead letter."""
    admin = await asyncpg.connect(url)
    event = UserDeleted(user_id=new_id("user"))
    envelope = wrap(event, tenant_id=PLATFORM_TENANT_ID, source="/prognetwork/users")
    await admin.execute(
        "INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id,"
        " partition_key, correlation_id, occurred_at, data)"
        " VALUES ($1, 'event', $2, 'users', $3, 1, $4, 'k', $1, clock_timestamp(), $5)",
        envelope.id, USERS.name, envelope.type, envelope.tenant_id, envelope.data,
    )  # fmt: skip
    await admin.execute(
        "INSERT INTO bus.dead_letters (id, consumer_group, tenant_id, topic, partition, attempts, code, reason,"
        " fingerprint, attributes, data) VALUES ($1, 'email', $2, $3, 0, 1, 'c', 'r', 'f', '', '')",
        new_message_id(), PLATFORM_TENANT_ID, USERS.name,
    )  # fmt: skip
    await admin.close()


async def test_the_sampler_asks_for_windows_to_be_closed_when_nobody_else_does(
    resources: Resources, redis: Client, clock: FixedClock, postgres: str
) -> None:
    admin = await asyncpg.connect(postgres)
    await admin.execute(
        "INSERT INTO monitoring.windows VALUES ('group', $1, 'users', '', 1, 1, 0, 0, 0, 0, 0, -1, '', 0, -1, '')",
        clock.at - timedelta(minutes=1),
    )
    await admin.close()
    sampler = Sampler(resources, clock)
    async with resources.database.pool.acquire() as connection:
        await sampler.sample(connection)
    topic = topic_of(CloseWindows)
    streams = [topic.stream(partition) for partition in range(topic.partitions)]
    assert sum([await redis.xlen(stream) for stream in streams]) == 1


async def test_old_windows_are_dropped(resources: Resources, clock: FixedClock, postgres: str) -> None:
    admin = await asyncpg.connect(postgres)
    for age in (timedelta(days=3), timedelta(hours=1)):
        await admin.execute(
            "INSERT INTO monitoring.windows VALUES ('event', $1, '', 'x', 1, 1, 0, 0, 0, 0, 0, -1, '', 0, -1, '')",
            clock.at - age,
        )
    async with resources.database.pool.acquire() as connection:
        await Sampler(resources, clock).sample(connection)
    assert await admin.fetchval("SELECT count(*) FROM monitoring.windows") == 1
    await admin.close()


async def test_one_worker_samples_and_another_takes_over(
    resources: Resources, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "PERIOD_SECONDS", 0.01)
    rounds: asyncio.Queue[str] = asyncio.Queue()

    class Named(Sampler):
        def __init__(self, name: str) -> None:
            super().__init__(resources, clock)
            self.name = name

        async def sample(self, connection: Any) -> None:
            await rounds.put(self.name)

    first = asyncio.create_task(Named("first").run())
    assert await rounds.get() == "first"
    second = asyncio.create_task(Named("second").run())
    assert {await rounds.get() for _ in range(10)} == {"first"}
    await cancelled([first])
    async with asyncio.timeout(10):
        while await rounds.get() != "second":
            pass
    await cancelled([second])
