"""The contests of `prog bench bus`: their shape, that they take turns, and that nobody is believed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

import pytest
import uvloop
from typer.testing import CliRunner

from prog_infra import bench
from prog_infra.bench import Options, Result, Row, bus
from prog_infra.bench.bus import contest as contest_module
from prog_infra.bench.bus import contests, message
from prog_infra.bench.bus import stage as stages
from prog_infra.bench.bus.contest import Comparison, Contest, Process, hold
from prog_infra.bench.bus.sampling import Sampler
from prog_infra.bench.bus.side import Counted, Tally
from prog_infra.bench.bus.sides.consume import RAW_GROUP, RAW_STREAM
from prog_infra.bench.bus.stage import Servers, Stage
from prog_infra.commands.bench import app
from prog_infra.errors import OperatorError
from tests.benchmarks.test_bench import promised
from tests.running import run

pytestmark = pytest.mark.usefixtures("forked_programs")

ROWS = {
    "publish": ["publish, pipelined 500"],
    "consume": ["batch consume, pydantic, metrics on", "batch consume, FastStream as shipped"],
    "inbox": ["batch consume, inbox and commit in PostgreSQL"],
    "relay": ["relay PostgreSQL to broker"],
    "reclaim": ["reclaim of a dead worker's batch"],
    "handled": [f"messages handled, beside {name}" for name in ("dramatiq", "taskiq", "Celery")],
    "scaling": ["scaling from 1 to 2 workers"],
    "asking": ["a command to its handler and back, p50", "a command to its handler and back, p99"],
    "kafka-publish": ["Kafka publish"],
    "kafka-consume": ["Kafka batch consume"],
}


@pytest.fixture(scope="module")
def running() -> Iterator[Servers]:
    """Servers for all contests of this module, one after the other."""
    with stages.servers() as running:
        run(stages.furnish(running))
        yield running


@pytest.fixture
async def servers(running: Servers) -> AsyncIterator[Stage]:
    async with stages.connected(running) as servers:
        await servers.tidy()
        yield servers


@pytest.fixture
def shared(running: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Contests are held on the module's servers."""
    monkeypatch.setattr(stages, "stage", lambda: stages.connected(running))


def test_a_message_has_a_kilobyte_and_its_number() -> None:
    sizes = {len(envelope.data) for envelope in message.envelopes(50)}
    assert sizes == {message.BODY_BYTES}
    counted = Counted()
    counted.add([message.Body.model_validate_json(envelope.data) for envelope in message.envelopes(50)])
    assert (counted.messages, counted.checksum) == (50, message.checksum(50))


def test_messages_have_ids_of_their_own_and_keys_of_their_partition() -> None:
    envelopes = list(message.envelopes(200, [1, 2]))
    assert len({envelope.id for envelope in envelopes}) == 200
    assert {message.TOPIC.partition_of(envelope.partition_key) for envelope in envelopes} == {1, 2}
    assert len({envelope.tenant_id for envelope in envelopes}) > 30


@dataclass(eq=False)
class Pretended:
    """A contestant whose rates are written down; it keeps the order of the rounds in a list that all share."""

    name: str
    rates: list[float]
    order: list[str]
    version: str = "1"
    share: float = 1.0
    sizes: list[int] = field(default_factory=list)

    async def open(self, stage: Stage) -> None:
        self.order.append(f"{self.name} opens")

    async def round(self, stage: Stage, messages: int) -> Tally:
        self.order.append(self.name)
        self.sizes.append(messages)
        return Tally(messages, 0, messages / self.rates.pop(0))

    async def close(self) -> None:
        self.order.append(f"{self.name} closes")


class NoStage:
    async def tidy(self) -> None:
        return None


async def test_contestants_take_turns_and_the_first_round_does_not_count() -> None:
    order: list[str] = []
    ours = Pretended("ours", [1.0, 80.0, 90.0, 300.0], order)
    raw = Pretended("raw", [9999.0, 100.0, 100.0, 100.0], order)
    slow = Pretended("slow", [1.0, 2.0, 3.0, 4.0], order, share=0.1)
    contest = Contest("pretended", [Comparison("p", ours, raw, 0.8, 1.0), Comparison("q", ours, slow, 10, 20)], [slow])
    figures = await hold(NoStage(), contest, 3, 1000, lambda line: None)  # type: ignore[arg-type]
    assert order == [
        *("ours opens", "raw opens", "slow opens"),
        *("ours", "raw", "slow") * 4,
        *("ours closes", "raw closes", "slow closes"),
    ]
    first, second = figures.rows
    assert (first.ours, first.reference, first.ratio, first.runs) == (90, 100, 0.9, 3)
    assert first.spread == (0.8, 0.9, 3.0)
    assert second.ratio == 40.0
    assert [(peer.name, peer.value, peer.path) for peer in figures.peers] == [("slow", 3, "q")]
    assert (ours.sizes[0], slow.sizes[0]) == (1000, 100)


async def test_one_that_fails_ends_the_contest_and_all_are_closed() -> None:
    order: list[str] = []
    ours, raw = Pretended("ours", [1.0], order), Pretended("raw", [], order)
    with pytest.raises(IndexError):
        await hold(NoStage(), Contest("p", [Comparison("p", ours, raw, 1, 1)]), 1, 10, lambda line: None)  # type: ignore[arg-type]
    assert order[-2:] == ["ours closes", "raw closes"]


def row(ratio: float) -> Row:
    return Row("publish, pipelined 500", 1, 2, "messages/s", ratio, 0.8, 0.95, 5)


@pytest.mark.parametrize(("ratio", "code"), [(0.79, 1), (0.8, 0)])
def test_a_row_below_what_it_must_be_makes_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, ratio: float, code: int
) -> None:
    monkeypatch.setattr(bus, "run", lambda options: Result("bus", bench.machine(), [row(ratio)]))
    assert CliRunner().invoke(app, ["bus", "--json"]).exit_code == code


def test_an_unknown_contest_is_told_with_those_there_are() -> None:
    with pytest.raises(OperatorError) as told:
        bus.run(Options(only="speed"))
    assert all(name in told.value.remedy for name in ROWS)


def test_the_rows_are_those_that_are_promised_with_what_each_must_reach() -> None:
    assert {contest.name: [each.path for each in contest.comparisons] for contest in contests.contests()} == ROWS
    assert all(0 < each.at_least <= each.aim for contest in contests.contests() for each in contest.comparisons)


def held(name: str, monkeypatch: pytest.MonkeyPatch) -> Result:
    """One contest in its tiniest form."""
    monkeypatch.setattr(uvloop, "run", asyncio.run)  # the judge's loop; uvloop's own would start programs by itself
    monkeypatch.setattr(contest_module, "WARM_UP", 0)
    monkeypatch.setitem(bus.ROUNDS, "short", (1, 600))
    told = bus.run(Options(length="short", only=name))
    promised(json.dumps(told.json()), "bus", ROWS[name], with_peers=name in ("publish", "consume", "handled"))
    return told


@pytest.mark.slow
@pytest.mark.usefixtures("shared")
@pytest.mark.parametrize("name", [name for name in ROWS if not name.startswith("kafka")])
def test_a_contest_is_held(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    held(name, monkeypatch)
    assert f"{name}: ours" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("shared", "kafka_jars")
@pytest.mark.parametrize("name", ["kafka-publish", "kafka-consume"])
def test_a_contest_is_held_on_a_kafka_of_its_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    held(name, monkeypatch)


@pytest.mark.slow
def test_on_servers_of_its_own_a_profile_tells_where_the_time_of_ours_goes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(bus.ROUNDS, "short", (1, 2000))
    bus.run(Options(length="short", only="publish", profile=True))
    told = capsys.readouterr().err
    assert "publish: ours: " in told
    assert "publish.py Ours.run" in told


@pytest.mark.slow
async def test_a_side_that_takes_one_message_twice_and_another_never_is_found_out(servers: Stage) -> None:
    async def cheat(stage: Stage, messages: int) -> None:
        envelopes = list(message.envelopes(messages))
        await stage.fill(RAW_STREAM, [*envelopes[:-1], envelopes[0]], [RAW_GROUP])

    side = Process("consume-raw", "a cheat", cheat, contests.settled_raw)
    await side.open(servers)
    try:
        with pytest.raises(OperatorError, match="some twice and others never"):
            await side.round(servers, 100)
    finally:
        await side.close()


@pytest.mark.slow
async def test_a_side_that_ends_is_told_with_what_it_said(servers: Stage) -> None:
    side = Process("nobody", "nobody", contests.nothing, contests.nothing)
    try:
        with pytest.raises(OperatorError, match="KeyError: 'nobody'"):
            await side.open(servers)
    finally:
        await side.close()


async def test_what_was_published_is_read_back(servers: Stage) -> None:
    await servers.fill(contests.STREAM, message.envelopes(10))
    with pytest.raises(OperatorError, match="10 of 11 messages were published"):
        await contests.published(servers, 11)
    await contests.published(servers, 10)
    assert await servers.content([contests.STREAM]) == (0, 0)


async def test_what_was_read_and_not_acknowledged_is_not_settled(servers: Stage) -> None:
    await contests.fill_raw(servers, 3)
    await servers.redis.xreadgroup(RAW_GROUP, "c", {RAW_STREAM: ">"}, count=2)
    assert not await servers.is_settled(RAW_STREAM, RAW_GROUP)
    await servers.redis.xreadgroup(RAW_GROUP, "c", {RAW_STREAM: ">"}, count=2)
    with pytest.raises(OperatorError, match="not everything is acknowledged"):
        await contests.settled_raw(servers, 3)
    for entry_id, _ in await servers.redis.xrange(RAW_STREAM) or ():
        assert entry_id is not None
        await servers.redis.xack(RAW_STREAM, RAW_GROUP, entry_id)
    await contests.settled_raw(servers, 3)


def test_a_sampler_finds_the_line_that_takes_the_time() -> None:
    sampler = Sampler()
    sampler.start()
    try:
        while sampler.samples < 20:
            busy()
    finally:
        sampler.stop()
    report = sampler.report(1000, 0.02)
    assert report["microseconds"] == 20.0
    assert "test_bus.py busy" in report["lines"][0][0]
    assert sum(value for _, value in report["lines"]) <= 20.1


def busy() -> int:
    return sum(number * number for number in range(2000))


async def test_the_judge_waits_for_no_side_for_ever(servers: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prog_infra.bench.bus.contest.PATIENCE_SECONDS", 0.0)
    side = Process("consume-raw", "a sleeper", contests.fill_raw, contests.settled_raw)
    with pytest.raises(OperatorError, match="a sleeper does not come to an end"):
        await side.open(servers)
    await asyncio.wait_for(side.close(), 60)
