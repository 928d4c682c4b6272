"""How the fault rig measures recovery."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.rig.ledger import EVENTS, Applied, Effect, Sent
from tests.faults.rig.recovery import Outage, longest_recovery


def message(
    number: int, *, sent_at: float, applied_at: float, shard: str = "payments/a", group: str = EVENTS
) -> tuple[Sent, Applied]:
    effect = Effect(group, shard, number)
    return Sent(str(number), effect, "plain", sent_at), Applied(number, effect, "worker-1", shard, applied_at)


def seconds(outages: list[Outage], *messages: tuple[Sent, Applied]) -> float | None:
    found = longest_recovery(outages, [row for _, row in messages], [each for each, _ in messages])
    return None if found is None else found.seconds


KILL = Outage("worker_killed", "worker-1", 100.0, 100.0)


def test_recovery_is_the_time_from_the_kill_to_the_next_effect_on_the_slowest_shard() -> None:
    found = seconds(
        [KILL],
        message(1, sent_at=99.0, applied_at=100.5, shard="payments/a"),
        message(2, sent_at=99.0, applied_at=103.0, shard="payments/b"),
        message(3, sent_at=99.0, applied_at=109.0, shard="payments/b"),
    )
    assert found == pytest.approx(3.0)


def test_an_idle_shard_has_not_been_recovering() -> None:
    assert seconds([KILL], message(1, sent_at=110.0, applied_at=110.25)) == pytest.approx(0.25)


def test_a_pause_counts_from_its_end() -> None:
    pause = Outage("worker_paused", "worker-1", 100.0, 104.0)
    found = seconds([pause], message(1, sent_at=99.0, applied_at=102.0), message(2, sent_at=99.0, applied_at=104.5))
    assert found == pytest.approx(0.5)


def test_while_another_fault_holds_recovery_counts_from_that_one_s_end() -> None:
    outage = Outage("database_killed", "database", 101.0, 106.0)
    assert seconds([KILL, outage], message(1, sent_at=99.0, applied_at=107.0)) == pytest.approx(1.0)


def test_without_anything_applied_afterwards_nothing_is_measured() -> None:
    assert seconds([KILL], message(1, sent_at=90.0, applied_at=99.0)) is None


def test_what_a_command_caused_could_begin_when_the_command_was_applied() -> None:
    command, row = message(1, sent_at=99.0, applied_at=120.0, shard="tenants/a", group="tenants")
    caused = Applied(2, row.effect._replace(group=EVENTS), "worker-1", "payments/a", 120.5)
    found = longest_recovery([KILL], [row, caused], [command])
    assert found is not None
    assert found.shard == "tenants/a"
    assert found.seconds == pytest.approx(20.0)
    found = longest_recovery([KILL], [replace(row, at=100.1), caused], [command])
    assert found is not None
    assert found.shard == "payments/a"
    assert found.seconds == pytest.approx(20.4)
