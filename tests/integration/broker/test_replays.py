"""Replays on real servers: exactly once, resumable, nothing leaves them, and live traffic meets them without a gap."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from prog_broker import Domain, Reply, Transaction, replaying
from prog_broker.leases import SEED
from prog_broker.replaying import Replay, ReplayRequest, ReplayRunner, Scope
from prog_broker.replaying.running import Lost
from prog_broker.worker import Worker
from prog_contracts.errors import Conflict, Invalid, NotFound
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_kit.database import Connection, Database
from prog_kit.secrets import Sealer
from prog_kit.tasks import cancelled
from tests.depth import by_depth
from tests.forking import Popen
from tests.integration.broker.conftest import Rig, eventually
from tests.integration.broker.replays import TABLE, chained, chaining, expected, renaming, write_history

ROOT = Path(__file__).parents[3]


@pytest.fixture
def broker(request: pytest.FixtureRequest, valkey_url: str) -> dict[str, Any]:
    """Redis, unless a test asks for both: a replay reads the event log, and no broker."""
    if getattr(request, "param", "redis") == "redis":
        return {"redis_url": valkey_url}
    url = request.getfixturevalue("kafka_url")
    return {"redis_url": valkey_url, "broker_url": url, "kafka_topic_prefix": f"t{new_message_id().hex[-10:]}."}


on_both_brokers = pytest.mark.parametrize("broker", ["redis", "kafka"], indirect=True)


@pytest.fixture
async def group(rig: Rig) -> AsyncIterator[Database]:
    """A database with the role of the group that the replays run in; its tables are there."""
    await rig.admin.execute(TABLE)
    database = await Database.connect(rig.settings.database_url, "prog_payments", max_size=4)
    yield database
    database.pool.terminate()


def runner_of(domain: Domain, group: Database, member: str = "tester", **options: Any) -> ReplayRunner:
    return ReplayRunner(domain, group, Sealer(("0123456789abcdef" * 4,)), member=member, **options)


def asked(reason: str = "a test", *, rebuild: bool = False, skip_failing: bool = False, **scope: Any) -> ReplayRequest:
    return ReplayRequest("payments", reason, Scope(**scope), rebuild=rebuild, skip_failing=skip_failing)


async def shown(rig: Rig, replay_id: UUID) -> Replay:
    assert rig.database is not None
    async with rig.database.operator() as operator:
        return await replaying.shown(operator, replay_id)


async def is_done(rig: Rig, replay_id: UUID) -> bool:
    replay = await shown(rig, replay_id)
    assert replay.state != "failed", replay.failure
    return replay.state == "done"


async def counts(rig: Rig) -> dict[str, int]:
    """Rows of every table of the carrier that a replay must leave alone."""
    return {
        table: await rig.scalar(f"SELECT count(*) FROM bus.{table}")
        for table in ("event_log", "command_outbox", "timers", "inbox", "retries", "dead_letters")
    }


def marking(*, replies: bool = True) -> Domain:
    """`payments` keeps which messages it saw, and wants to tell, schedule and call it off."""
    payments = Domain("payments")

    @payments.handles(TenantUpdated, replay="repeat")
    async def mark(event: TenantUpdated, tx: Transaction) -> Reply | None:
        assert tx.replaying
        assert tx.now == tx.envelope.time
        await tx.execute(
            "INSERT INTO payments.latest VALUES ($1, $2) ON CONFLICT DO NOTHING", tx.tenant_id, tx.message_id
        )
        if not replies:
            return None
        command = RenameTenant(tenant_id=event.tenant_id, name="never")
        tx.send(command)
        await tx.schedule("later", command, tx.now)
        assert await tx.unschedule("later")
        tx.complete_operation(new_message_id(), None)
        return Reply(None, event)

    return payments


async def marked(rig: Rig) -> set[UUID]:
    return {row["message_id"] for row in await rig.admin.fetch("SELECT message_id FROM payments.latest")}


async def run_to_the_end(rig: Rig, runner: ReplayRunner, replay_id: UUID) -> Replay:
    assert await runner.round()
    replay = await shown(rig, replay_id)
    assert replay.state == "done", replay.failure
    return replay


# --- what runs ------------------------------------------------------------------------------------------------------


async def test_a_range_runs_once_each_and_nothing_leaves_the_replay(rig: Rig, group: Database) -> None:
    ids = await write_history(rig.admin, [new_id("tenant"), new_id("tenant")], 1200)
    runner = runner_of(marking(), group)
    await runner.announce()
    first = await rig.scalar("SELECT min(position) FROM bus.event_log")
    before = await counts(rig)
    replay_id = await replaying.start(group, asked(from_position=first + 100, to_position=first + 1099), by="ada")
    replay = await run_to_the_end(rig, runner, replay_id)
    assert await marked(rig) == set(ids[100:1100])
    assert (replay.done, replay.total, replay.fraction) == (1000, 1000, 1.0)
    assert replay.suppressed == 5 * 1000
    assert await counts(rig) == before, "no event, command, timer, inbox row, retry or dead letter"
    assert [entry["what"] for entry in replay.history] == ["requested", "done"]
    assert replay.history[0]["by"] == "ada"


@pytest.mark.parametrize("narrow", ["tenant_id", "subject"])
async def test_a_tenant_or_a_subject_is_replayed_alone(narrow: str, rig: Rig, group: Database) -> None:
    tenants = [new_id("tenant") for _ in range(3)]
    ids = await write_history(rig.admin, tenants, 30)
    runner = runner_of(marking(replies=False), group)
    await runner.announce()
    scope: dict[str, Any] = {narrow: tenants[1]}
    replay_id = await replaying.start(group, asked(**scope), by="ada")
    await run_to_the_end(rig, runner, replay_id)
    assert await marked(rig) == set(ids[1::3])


async def test_a_time_range_is_replayed(rig: Rig, group: Database) -> None:
    tenants = [new_id("tenant")]
    await write_history(rig.admin, tenants, 5)
    since = await rig.scalar("SELECT clock_timestamp()")
    wanted = await write_history(rig.admin, tenants, 5)
    until = await rig.scalar("SELECT clock_timestamp()")
    await write_history(rig.admin, tenants, 5)
    runner = runner_of(marking(replies=False), group)
    await runner.announce()
    replay_id = await replaying.start(group, asked(from_time=since, to_time=until), by="ada")
    await run_to_the_end(rig, runner, replay_id)
    assert await marked(rig) == set(wanted)


async def test_what_comes_after_the_start_is_left_to_live_traffic(rig: Rig, group: Database) -> None:
    """A replay without a reset ends at the fence: the messages that were committed when it began."""
    tenants = [new_id("tenant")]
    ids = await write_history(rig.admin, tenants, 10)
    domain = Domain("payments")

    @domain.handles(TenantUpdated, replay="repeat")
    async def mark(event: TenantUpdated, tx: Transaction) -> None:
        if event.name == "n3":
            await write_history(rig.admin, tenants, 10, name="later")
        await tx.execute("INSERT INTO payments.latest VALUES ($1, $2)", tx.tenant_id, tx.message_id)

    runner = runner_of(domain, group, batch_size=4)
    await runner.announce()
    replay_id = await replaying.start(group, asked(), by="ada")
    replay = await run_to_the_end(rig, runner, replay_id)
    assert await marked(rig) == set(ids)
    assert replay.done == 10


async def test_a_rebuild_ends_equal_to_the_live_projection(rig: Rig, group: Database) -> None:
    tenants = [new_id("tenant") for _ in range(7)]
    await write_history(rig.admin, tenants, 2000)
    runner = runner_of(chaining(), group)
    await runner.announce()
    await rig.admin.execute("INSERT INTO payments.chain VALUES ('tenant_stale', 99, 'wrong')")
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    await run_to_the_end(rig, runner, replay_id)
    assert await chained(rig.admin) == await expected(rig.admin)
    assert len(await chained(rig.admin)) == 7
    assert await rig.scalar("SELECT count(*) FROM bus.shard_leases WHERE replay_id IS NOT NULL") == 0


async def test_a_rebuild_of_one_tenant_leaves_the_others(rig: Rig, group: Database) -> None:
    tenants = [new_id("tenant") for _ in range(2)]
    await write_history(rig.admin, tenants, 20)
    runner = runner_of(chaining(), group)
    await runner.announce()
    await rig.admin.execute("INSERT INTO payments.chain VALUES ($1, 99, 'kept'), ($2, 99, 'wrong')", *tenants)
    replay_id = await replaying.start(group, asked(rebuild=True, tenant_id=tenants[1]), by="ada")
    await run_to_the_end(rig, runner, replay_id)
    now = await chained(rig.admin)
    assert now[tenants[0]] == (99, "kept")
    assert now[tenants[1]] == (await expected(rig.admin))[tenants[1]]


# --- with live traffic ----------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(rig: Rig, *domains: Domain, name: str = "worker-1") -> AsyncIterator[Worker]:
    worker = Worker(list(domains), rig.settings.model_copy(update={"process_name": name}))
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@asynccontextmanager
async def relaying(rig: Rig) -> AsyncIterator[None]:
    async def relay() -> None:
        while True:
            await rig.relay.run_once()
            await asyncio.sleep(0.005)

    task = asyncio.create_task(relay())
    try:
        yield
    finally:
        await cancelled([task])


async def seeded(rig: Rig, group: Database, partition: int) -> asyncio.Task[str]:
    """A worker that is the first to know a shard; returns when its lease is written, or waits for somebody."""
    seeding: asyncio.Task[str] = asyncio.create_task(
        group.pool.execute(SEED, "payments", ["prog.tenants.events"], [partition])
    )

    async def written_or_waiting() -> bool:
        return seeding.done() or await rig.scalar(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%INSERT INTO bus.shard_leases%')"
        )

    await eventually(written_or_waiting)
    return seeding


async def left_to(rig: Rig, partition: int) -> UUID | None:
    return await rig.scalar("SELECT replay_id FROM bus.shard_leases WHERE partition = $1", partition)  # type: ignore[no-any-return]


async def test_a_shard_that_is_new_while_a_rebuild_begins_or_ends_goes_the_way_of_the_others(
    rig: Rig, group: Database
) -> None:
    tenants = [new_id("tenant")]
    await write_history(rig.admin, tenants, 10)
    domain = Domain("payments")
    seeds: list[asyncio.Task[str]] = []
    held: list[UUID | None] = []

    @domain.resets
    async def empty(connection: Connection, scope: Scope) -> None:
        seeds.append(await seeded(rig, group, 90))

    @domain.handles(TenantUpdated, replay="rebuild")
    async def chain(event: TenantUpdated, tx: Transaction) -> None:
        if event.name == "n9":
            await seeds[0]
            held.append(await left_to(rig, 90))
            await write_history(rig.admin, tenants, 1, name="last")  # runs in the transaction that ends the replay
        if event.name == "last0":
            seeds.append(await seeded(rig, group, 91))

    runner = runner_of(domain, group)
    await runner.announce()
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    await run_to_the_end(rig, runner, replay_id)
    assert held == [replay_id], "its messages are left to the replay"
    await seeds[1]
    assert await left_to(rig, 91) is None, "nobody runs any more what was left to the replay"


async def test_a_rebuild_that_failed_before_its_reset_hides_no_later_one_from_new_shards(
    rig: Rig, group: Database
) -> None:
    await write_history(rig.admin, [new_id("tenant")], 10)
    domain = Domain("payments")
    resets: list[Scope] = []
    held: list[UUID | None] = []

    @domain.resets
    async def empty(connection: Connection, scope: Scope) -> None:
        resets.append(scope)
        if len(resets) == 1:
            raise RuntimeError("a defect of the reset")

    @domain.handles(TenantUpdated, replay="rebuild")
    async def chain(event: TenantUpdated, tx: Transaction) -> None:
        if event.name == "n0":
            await (await seeded(rig, group, 92))
            held.append(await left_to(rig, 92))

    runner = runner_of(domain, group)
    await runner.announce()
    failing = await replaying.start(group, asked(rebuild=True), by="ada")
    assert await runner.round()
    assert (await shown(rig, failing)).state == "failed"
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    await run_to_the_end(rig, runner, replay_id)
    assert held == [replay_id]


@on_both_brokers
async def test_requirement_28_live_traffic_meets_a_rebuild_without_gap_or_overlap(rig: Rig, group: Database) -> None:
    """Events come in before, while and after the projection is rebuilt, several times over, by two workers."""
    tenants = [new_id("tenant") for _ in range(3)]
    await write_history(rig.admin, tenants, 300)
    stop = asyncio.Event()

    async def rename() -> int:
        sent = 0
        while not stop.is_set():
            await asyncio.gather(*(rig.rename(f"live{sent}-{n}", tenant) for n, tenant in enumerate(tenants)))
            sent += 1
            await asyncio.sleep(0.03)  # leaves the replay some of the loop that all share here
        return sent

    async with (
        serving(rig, renaming(), name="tenants-1"),
        serving(rig, chaining(), name="payments-1"),
        serving(rig, chaining(), name="payments-2"),
        relaying(rig),
    ):
        traffic = asyncio.create_task(rename())
        await eventually(lambda: _handled(rig, 330), seconds=60)
        for _ in range(2):
            replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
            await eventually(lambda replay_id=replay_id: is_done(rig, replay_id), seconds=120)  # type: ignore[misc]
        stop.set()
        rounds = await traffic
        assert rounds >= 3
        total = await rig.scalar("SELECT count(*) FROM bus.event_log")

        async def caught_up() -> bool:
            return sum(names for names, _ in (await chained(rig.admin)).values()) >= int(total)

        await eventually(caught_up, seconds=60)
        assert await chained(rig.admin) == await expected(rig.admin)
    assert await rig.scalar("SELECT count(*) FROM bus.dead_letters") == 0


@on_both_brokers
async def test_what_live_traffic_left_to_a_paused_rebuild_is_not_lost(rig: Rig, group: Database) -> None:
    tenants = [new_id("tenant")]
    await write_history(rig.admin, tenants, 10)
    domain = chaining()
    runner = runner_of(domain, group, batch_size=2)
    await runner.announce()
    async with serving(rig, renaming(), name="tenants-1"), relaying(rig):
        replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
        await group.pool.execute("UPDATE bus.replays SET state = 'running', token = 1")
        await runner._begin_or_batch(replay_id, 1, 2, closing=False)
        await runner._begin_or_batch(replay_id, 1, 2, closing=False)
        await replaying.pause(group, replay_id, by="ada")
        assert (await rig.rename("while paused", tenants[0])).status == "succeeded"
        async with serving(rig, domain, name="payments-1"):
            await eventually(lambda: _handled(rig, 11))
            assert sum(names for names, _ in (await chained(rig.admin)).values()) == 2
            await replaying.resume(group, replay_id, by="ada")
            await eventually(lambda: is_done(rig, replay_id), seconds=30)
    assert await chained(rig.admin) == await expected(rig.admin)


async def _handled(rig: Rig, count: int) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.inbox WHERE consumer_group = 'payments'") >= count)


# --- being stopped --------------------------------------------------------------------------------------------------


async def test_a_worker_killed_in_a_replay_is_followed_by_one_that_goes_on(rig: Rig, group: Database) -> None:
    await write_history(rig.admin, [new_id("tenant") for _ in range(3)], 3000)
    await runner_of(chaining(), group).announce()
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    done = 0
    for number in range(by_depth(usual=2, thorough=3)):
        process = _worker_process(rig, f"payments-{number}")
        try:
            await eventually(lambda done=done: _got_beyond(rig, replay_id, done), seconds=60)  # type: ignore[misc]
        finally:
            process.kill()
            await asyncio.to_thread(process.wait)
        done = (await shown(rig, replay_id)).done
    assert 0 < done < 3000, "the kills came in the middle"
    async with serving(rig, chaining()):
        await eventually(lambda: is_done(rig, replay_id), seconds=60)
    assert await chained(rig.admin) == await expected(rig.admin)


async def _got_beyond(rig: Rig, replay_id: UUID, done: int) -> bool:
    return (await shown(rig, replay_id)).done > done


def _worker_process(rig: Rig, name: str) -> Popen[bytes]:
    environment = {
        **os.environ,
        "DATABASE_URL": rig.settings.database_url,
        "REDIS_URL": rig.settings.redis_url,
        "PYTHONPATH": str(ROOT),
    }
    return Popen([sys.executable, "-m", "tests.integration.broker.replays", name], cwd=ROOT, env=environment)


async def test_pause_resume_and_cancel_take_effect_at_once(rig: Rig, group: Database) -> None:
    ids = await write_history(rig.admin, [new_id("tenant")], 100)
    domain = Domain("payments")

    @domain.handles(TenantUpdated, replay="repeat")
    async def mark(event: TenantUpdated, tx: Transaction) -> None:
        await tx.execute("INSERT INTO payments.latest VALUES ($1, $2)", tx.tenant_id, tx.message_id)
        if event.name == decide_at:
            await decision(group, replay_id, by="bob")

    decision: Any = replaying.pause
    decide_at = "n14"
    runner = runner_of(domain, group, batch_size=10)
    await runner.announce()
    replay_id = await replaying.start(group, asked(), by="ada")
    assert await runner.round()
    paused = await shown(rig, replay_id)
    assert (paused.state, paused.done) == ("paused", 10), "the batch in which it was paused is undone"
    assert await marked(rig) == set(ids[:10])
    assert not await runner.round(), "nobody takes a paused one"
    decision, decide_at = replaying.cancel, "n34"
    await replaying.resume(group, replay_id, by="ada")
    assert await runner.round()
    cancelled = await shown(rig, replay_id)
    assert (cancelled.state, cancelled.done) == ("cancelled", 30)
    assert await marked(rig) == set(ids[:30])
    assert [entry["what"] for entry in cancelled.history] == ["requested", "paused", "resumed", "cancelled"]
    for again in (replaying.pause, replaying.resume, replaying.cancel):
        with pytest.raises(Conflict, match="cancelled"):
            await again(group, replay_id, by="ada")


async def test_a_rebuild_is_given_up_only_knowingly(rig: Rig, group: Database) -> None:
    await write_history(rig.admin, [new_id("tenant")], 10, name="bad")
    runner = runner_of(chaining(), group)
    await runner.announce()
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    assert await runner.round()
    assert (await shown(rig, replay_id)).state == "failed"
    with pytest.raises(Conflict) as refused:
        await replaying.cancel(group, replay_id, by="ada")
    assert refused.value.code == "projection_incomplete"
    with pytest.raises(Conflict, match="not over"):
        await replaying.start(group, asked(rebuild=True), by="ada")
    await replaying.cancel(group, replay_id, by="ada", leave_incomplete=True)
    replay = await shown(rig, replay_id)
    assert (replay.state, replay.holds_live) == ("cancelled", False)


async def test_a_failing_message_stops_the_replay_which_goes_on_once_it_is_mended(rig: Rig, group: Database) -> None:
    tenants = [new_id("tenant")]
    await write_history(rig.admin, tenants, 700)
    bad = await write_history(rig.admin, tenants, 1, name="bad")
    await write_history(rig.admin, tenants, 100, name="good")
    runner = runner_of(chaining(), group)
    await runner.announce()
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    assert await runner.round()
    failed = await shown(rig, replay_id)
    assert (failed.state, failed.done, failed.holds_live) == ("failed", 700, True)
    assert failed.failure is not None
    assert failed.failure["message_id"] == str(bad[0])
    assert "a defect of the handler" in failed.failure["reason"]
    assert "RuntimeError" in failed.failure["traceback"]
    await rig.admin.execute(
        "UPDATE bus.event_log SET data = convert_to(replace(convert_from(data, 'UTF8'), 'bad', 'ok'), 'UTF8')"
        " WHERE message_id = $1",
        bad[0],
    )
    await replaying.resume(group, replay_id, by="ada")
    assert await runner.round()
    assert await is_done(rig, replay_id)
    assert await chained(rig.admin) == await expected(rig.admin)


async def test_failing_messages_are_passed_over_where_that_was_wished_and_told(rig: Rig, group: Database) -> None:
    tenants = [new_id("tenant")]
    await write_history(rig.admin, tenants, 20)
    bad = await write_history(rig.admin, tenants, 2, name="bad")
    await write_history(rig.admin, tenants, 20, name="good")
    runner = runner_of(chaining(), group)
    await runner.announce()
    replay_id = await replaying.start(group, asked(rebuild=True, skip_failing=True), by="ada")
    replay = await run_to_the_end(rig, runner, replay_id)
    assert (replay.done, replay.failed) == (42, 2)
    told = [entry for entry in replay.history if entry["what"] == "passed_over"]
    assert [entry["message_id"] for entry in told] == [str(message_id) for message_id in bad]
    assert (await chained(rig.admin))[tenants[0]][0] == 40


async def test_two_workers_run_a_replay_once(rig: Rig, group: Database) -> None:
    await write_history(rig.admin, [new_id("tenant") for _ in range(3)], 1500)
    first, second = (runner_of(chaining(), group, member, batch_size=50) for member in ("one", "two"))
    await first.announce()
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    took = await asyncio.gather(first.round(), second.round())
    assert sorted(took) == [False, True]
    assert await is_done(rig, replay_id)
    assert await chained(rig.admin) == await expected(rig.admin)


async def test_a_runner_that_was_replaced_cannot_commit(rig: Rig, group: Database) -> None:
    await write_history(rig.admin, [new_id("tenant")], 10)
    runner = runner_of(chaining(), group)
    await runner.announce()
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    await rig.admin.execute("UPDATE bus.replays SET state = 'running', token = 7, owner = 'other'")
    with pytest.raises(Lost):
        await runner._begin_or_batch(replay_id, 6, 500, closing=False)
    assert await chained(rig.admin) == {}


# --- what is refused ------------------------------------------------------------------------------------------------


async def test_a_group_with_nothing_replayable_refuses(rig: Rig, group: Database) -> None:
    domain = Domain("payments")

    @domain.handles(TenantUpdated)
    async def use_case(event: TenantUpdated, tx: Transaction) -> None: ...

    await runner_of(domain, group).announce()
    with pytest.raises(Invalid) as refused:
        await replaying.start(group, asked(), by="ada")
    assert refused.value.code == "not_replayable"
    assert "use cases" in refused.value.message


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (asked(), "needs_reset"),
        (asked(types=(TenantUpdated.TYPE,)), "needs_reset"),
        (asked(rebuild=True, types=("prognetwork.tenants.tenant_created",)), "not_replayable"),
        (asked(rebuild=True, from_position=3), "reset_needs_everything"),
        (asked(from_position=9, to_position=8), "range_ends_before_it_begins"),
        (
            asked(from_time=datetime(2027, 1, 2, tzinfo=UTC), to_time=datetime(2027, 1, 1, tzinfo=UTC)),
            "range_ends_before_it_begins",
        ),
        (asked(reason="  "), "missing"),
        (ReplayRequest("paymnets", "typo"), "unknown_group"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_makes_no_sense_is_refused_with_the_reason(
    request_: ReplayRequest, code: str, rig: Rig, group: Database
) -> None:
    await write_history(rig.admin, [new_id("tenant")], 3)
    await runner_of(chaining(), group).announce()
    with pytest.raises(Invalid) as refused:
        await replaying.start(group, request_, by="ada")
    assert code in {refused.value.code, *(field.code for field in refused.value.fields)}
    assert await rig.scalar("SELECT count(*) FROM bus.replays") == 0


async def test_an_empty_range_is_refused(rig: Rig, group: Database) -> None:
    await write_history(rig.admin, [new_id("tenant")], 3)
    await runner_of(marking(), group).announce()
    for scope in ({"from_position": 10_000}, {"tenant_id": new_id("tenant")},
                  {"from_time": datetime.now(UTC) + timedelta(days=1)}):  # fmt: skip
        with pytest.raises(Invalid) as refused:
            await replaying.start(group, asked(**scope), by="ada")
        assert refused.value.code == "nothing_to_replay"
    assert await rig.scalar("SELECT count(*) FROM bus.replays") == 0


async def test_unknown_replays_are_not_found(rig: Rig, group: Database) -> None:
    for decide in (replaying.pause, replaying.resume, replaying.cancel):
        with pytest.raises(NotFound):
            await decide(group, new_message_id(), by="ada")
    with pytest.raises(NotFound):
        await shown(rig, new_message_id())


async def test_one_group_cannot_touch_another_s_replay(rig: Rig, group: Database) -> None:
    await write_history(rig.admin, [new_id("tenant")], 3)
    await runner_of(marking(), group).announce()
    replay_id = await replaying.start(group, asked(), by="ada")
    stranger = await Database.connect(rig.settings.database_url, "prog_email", max_size=1)
    try:
        with pytest.raises(NotFound):
            await replaying.cancel(stranger, replay_id, by="mallory")
        async with stranger.scope() as connection:
            assert await connection.fetchval("SELECT count(*) FROM bus.event_log") == 0, "no replay, no reading"
    finally:
        stranger.pool.terminate()
    async with group.scope() as connection:
        assert await connection.fetchval("SELECT count(*) FROM bus.event_log") == 3
    await replaying.cancel(group, replay_id, by="ada")
    async with group.scope() as connection:
        assert await connection.fetchval("SELECT count(*) FROM bus.event_log") == 0


async def test_a_replay_into_a_group_that_nobody_runs_says_that_it_waits(rig: Rig, group: Database) -> None:
    await write_history(rig.admin, [new_id("tenant")], 3)
    replay_id = await replaying.start(group, asked(rebuild=True), by="ada")
    waiting = await shown(rig, replay_id)
    assert (waiting.state, waiting.waits_for_worker) == ("pending", True)
    async with serving(rig, chaining()):
        await eventually(lambda: is_done(rig, replay_id), seconds=30)
    assert not (await shown(rig, replay_id)).waits_for_worker
    assert await chained(rig.admin) == await expected(rig.admin)


async def test_the_first_worker_of_a_group_refuses_what_it_cannot_replay(rig: Rig, group: Database) -> None:
    await write_history(rig.admin, [new_id("tenant")], 3)
    replay_id = await replaying.start(group, asked(), by="ada")
    assert await runner_of(chaining(), group).round()
    refused = await shown(rig, replay_id)
    assert refused.state == "failed"
    assert refused.failure is not None
    assert refused.failure["code"] == "needs_reset"


def test_a_command_cannot_be_declared_replayable() -> None:
    tenants = Domain("tenants")
    with pytest.raises(ValueError, match="a replay runs events alone"):

        @tenants.handles(RenameTenant, replay="repeat")
        async def rename(command: RenameTenant, tx: Transaction) -> None: ...
