"""Storms, floods and backlogs: a subscription pauses, other tenants are served, memory stays bounded."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psutil
import pytest

from prog_broker import sql
from prog_broker.intake import BATCH_SECONDS
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant
from prog_contracts.topics import TOPICS, Topic
from tests.integration.broker.conftest import Rig, eventually

COMMANDS = TOPICS["prog.tenants.commands"]


def command(name: str, tenant: str | None = None, key: str | None = None) -> tuple[Topic, Any]:
    message = RenameTenant(tenant_id=key or new_id("tenant"), name=name)
    return COMMANDS, wrap(message, tenant_id=tenant or message.tenant_id, source="/test")


async def letters(rig: Rig) -> int:
    return int(await rig.scalar("SELECT count(*) FROM bus.dead_letters"))


async def test_requirement_18_a_failure_storm_pauses_the_subscription_and_a_probe_ends_the_pause(rig: Rig) -> None:
    """Of 400 commands that would all become dead letters few do; when the cause is gone the rest is handled."""
    worker = await rig.worker(retry_attempts=1, breaker_pause_seconds=0.5)
    rig.ledger.failing.update(f"storm{number}" for number in range(400))
    await rig.transport.publisher.send([command(f"storm{number}") for number in range(400)])
    breaker = worker.serving[0].processor.breakers.of(COMMANDS.name)
    await eventually(lambda: breaker.state == "open")
    tripped = await letters(rig)
    assert tripped < 60, "the batch that trips it ends there too"

    async def probed() -> bool:
        return await letters(rig) > tripped

    await eventually(probed)  # the cause is still there, so the pause begins anew
    rig.ledger.failing.clear()
    await eventually(lambda: handled_or_dead(rig, 400))
    assert breaker.state == "closed"
    assert await letters(rig) < 60


async def handled_or_dead(rig: Rig, count: int) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.inbox WHERE consumer_group = 'tenants'") == count)


async def test_a_refusal_by_a_rule_is_no_failure_to_the_breaker(rig: Rig) -> None:
    worker = await rig.worker()
    await rig.transport.publisher.send([command(f"taken{number}") for number in range(100)])
    await eventually(lambda: handled_or_dead(rig, 100))
    assert worker.serving[0].processor.breakers.of(COMMANDS.name).state == "closed"


async def test_requirement_22_a_noisy_tenant_leaves_the_others_their_turn(rig: Rig) -> None:
    """Nine of ten messages are one tenant's and came first: the others come in the batch after the one at work."""
    noisy, quiet = new_id("tenant"), [new_id("tenant") for _ in range(10)]
    partition = 0

    def keys(count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            key = new_id("tenant")
            if COMMANDS.partition_of(key) == partition:
                found.append(key)
        return found

    async def places_of_quiet(flood: int) -> list[int]:
        """Where the quiet tenants' messages come among all that were handled, the flood having been sent first."""
        rig.ledger.handled.clear()
        rig.ledger.gate.clear()
        [first, *others] = keys(1 + flood)
        # The batch at work lasts until all are sent: on a busy machine the flood would be over before that.
        await rig.transport.publisher.send([command("slow", noisy, first)])
        await eventually(lambda: rig.ledger.handled == ["slow"])
        messages = [command(f"noisy{n}", noisy, key) for n, key in enumerate(others)]
        messages += [command(f"quiet{n}", quiet[n % 10], key) for n, key in enumerate(keys(50))]
        await rig.transport.publisher.send(messages)
        rig.ledger.gate.set()
        await eventually(lambda: len(rig.ledger.handled) == 1 + len(messages))
        return sorted(number for number, name in enumerate(rig.ledger.handled) if name.startswith("quiet"))

    await rig.worker(batch_size=100)
    alone = await places_of_quiet(flood=5)
    beside_a_flood = await places_of_quiet(flood=350)
    assert alone[-1] <= 55
    assert beside_a_flood[-1] < 2 * 100, f"the last of 50 quiet messages was handled at place {beside_a_flood[-1]}"


async def test_a_slow_handler_makes_small_batches_so_that_nobody_waits_long(rig: Rig) -> None:
    worker = await rig.worker(batch_size=500)
    intake = next(reader.intake for reader in readers(worker) if reader.owned.shard.topic is COMMANDS)
    intake.took(seconds=BATCH_SECONDS, messages=5)
    assert intake._quick() == 5


def readers(worker: Any) -> list[Any]:
    return list(worker.transport.broker.subscribers)


@pytest.mark.slow
async def test_requirement_21_a_backlog_takes_no_more_memory_than_the_budget(rig: Rig) -> None:
    """A backlog of 20 MB in four partitions, under a budget of 1 MiB, and a handler that stands still."""
    body = "x" * 100
    for start in range(0, 40_000, 1_000):
        await rig.transport.publisher.send([command(f"slow{start + n}{body}") for n in range(1_000)])
    before = psutil.Process().memory_info().rss
    worker = await rig.worker(intake_mib=1, batch_size=200)
    await eventually(lambda: worker.budget.left < 2_000)
    held = await asyncio.to_thread(_settled_memory)
    assert held - before < 60 * 1024 * 1024
    waiting = sum(len(reader.intake) for reader in readers(worker))
    assert 0 < waiting < 4_000, f"{waiting} messages of 40,000 are held"
    rig.ledger.gate.set()


def _settled_memory() -> int:
    """The memory of this process once it no longer grows: the largest of a second's samples."""
    deadline, largest = time.monotonic() + 1.0, 0
    while time.monotonic() < deadline:
        largest = max(largest, psutil.Process().memory_info().rss)
    return largest


async def test_a_mass_of_dead_letters_costs_the_search_for_due_retries_nothing(rig: Rig) -> None:
    """Not one of 20,000 parked keys is looked at: the plan goes by what is due."""
    await rig.admin.execute(
        """
        INSERT INTO bus.retries (consumer_group, message_id, tenant_id, topic, partition, partition_key, state, due_at,
                                 attributes, data)
        SELECT 'tenants', gen_random_uuid(), 'tenant_x', $1, n % 4, 'key ' || n, 'dead', clock_timestamp(), '{}', ''
        FROM generate_series(1, 20000) AS n
        """,
        COMMANDS.name,
    )
    await rig.admin.execute("ANALYZE bus.retries")
    rows = await rig.admin.fetch(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) " + sql.DUE_RETRIES, "tenants", [COMMANDS.name] * 4, [0, 1, 2, 3], 50
    )
    plan = "\n".join(row[0] for row in rows)
    assert "retries_due" in plan
    assert "Seq Scan on retries" not in plan
