"""One run: open the stage, play the faults, heal, wait until all is quiet, compare the ledgers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Final, Literal

from rich.console import Console

from prog_kit.tasks import cancelled
from tests.faults.rig.chaos import Chaos, draws
from tests.faults.rig.collection import Progress, collect, progress, waiting_in_broker
from tests.faults.rig.ledger import Ledgers, Verdict, check
from tests.faults.rig.operators import Operator
from tests.faults.rig.recovery import Recovery, longest_recovery
from tests.faults.rig.stage import Cast, Stage

FIRST_SECONDS: Final = 120.0
"""Until the first messages are applied, on a loaded machine."""
STALLED_SECONDS: Final = 60.0
"""So long without any progress, and what is missing counts as lost."""
SAMPLES: Final = 20
"""Offending messages that are told, of each kind."""


@dataclass(frozen=True, slots=True)
class Form:
    """How large a run is."""

    name: str
    cast: Cast
    messages: int
    gap_seconds: float
    """Between two faults, about."""
    finish_seconds: float
    """For the producers, which end when all that they have sent is accepted: a key may have to wait for its backlog."""
    kafka_nodes: int = 1


SHORT: Final = Form("short", Cast(), messages=3_000, gap_seconds=1.2, finish_seconds=120.0)
BRIEF: Final = replace(SHORT, name="brief", cast=Cast(lease_seconds=1.0), messages=700, gap_seconds=0.3)
LONG: Final = Form(
    "long",
    Cast(workers=3, producers=3, appenders=2, keys=32, rate=150.0, appender_rate=75.0),
    messages=100_000,
    gap_seconds=4.0,
    finish_seconds=900.0,
    kafka_nodes=3,
)


@dataclass
class Result:
    """What a run has shown."""

    seed: int
    form: str
    broker: str
    verdict: Verdict
    ledgers: Ledgers
    recovery: Recovery | None
    faults: dict[str, int]
    operator: Operator
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.verdict.ok and not self.problems

    @property
    def accepted(self) -> int:
        return sum(each.accepted for each in self.ledgers.sent)

    def json(self) -> dict[str, Any]:
        """The fixed fields, and what explains them."""
        return {
            "seed": self.seed,
            "messages": self.accepted,
            "lost": len(self.verdict.lost),
            "duplicated": len(self.verdict.duplicated),
            "reordered": len(self.verdict.reordered),
            "faults": dict(sorted(self.faults.items())),
            "longest_recovery_seconds": round(self.recovery.seconds, 2) if self.recovery else None,
            "longest_recovery_after": None if self.recovery is None else self.recovery.outage.kind,
            "ok": self.ok,
            "form": self.form,
            "broker": self.broker,
            "applied": len(self.ledgers.applied),
            "refused": len(self.ledgers.refused),
            "dead": len(self.ledgers.dead),
            "redriven": self.operator.redriven,
            "outside_calls": len(self.ledgers.executed),
            "seconds": round(self.seconds, 1),
            "problems": self.samples(),
        }

    def samples(self) -> list[str]:
        """Each kind of offence with some of its messages, then what else went wrong."""
        verdict = self.verdict
        told = []
        for name in ("lost", "duplicated", "reordered", "died", "unknown"):
            told += [f"{name}: {entry}" for entry in getattr(verdict, name)[:SAMPLES]]
        return told + self.problems


class Run:
    """One run; `play` is all of it."""

    def __init__(
        self,
        form: Form,
        seed: int,
        directory: Path,
        console: Console,
        *,
        broker: Literal["redis", "kafka"] = "redis",
        messages: int | None = None,
        broken: str = "",
        only: Collection[str] = (),
    ) -> None:
        self.form = form
        self.only = only
        self.seed = seed
        self.console = console
        self.messages = form.messages if messages is None else messages
        self.began = time.monotonic()
        brokers = form.kafka_nodes if broker == "kafka" else 1
        cast = replace(form.cast, seed=seed, broken=broken, broker=broker, brokers=brokers)
        self.stage = Stage(directory, cast, self.say)
        self.chaos = Chaos(self.stage, self.say, seed)
        self.operator = Operator(self.stage.database_url)
        self.latest: Progress | None = None

    def say(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self.began:7.1f} s[/]  {text}")

    async def play(self) -> Result:
        self.say(f"seed {self.seed}, {self.form.name} form, at least {self.messages:,} messages")
        try:
            await self.stage.open()
            tasks = [asyncio.create_task(self.operator.work()), asyncio.create_task(self._report())]
            try:
                await self._chaos()
                await self._rest()
            finally:
                await cancelled(tasks)
            ledgers = await collect(self.stage)
            await self.stage.retire("worker", "relay")
        finally:
            await self.stage.close()
        recovery = longest_recovery(self.chaos.outages, ledgers.applied, ledgers.sent)
        return Result(
            self.seed, self.form.name, self.stage.cast.broker, check(ledgers), ledgers, recovery,
            dict(self.chaos.counts), self.operator, [*self.stage.problems, *self.operator.unmeant],
            time.monotonic() - self.began,
        )  # fmt: skip

    async def _chaos(self) -> None:
        """Faults until every kind was there and enough was sent; then all is healed."""
        await self._until(lambda: self.latest is not None and self.latest.applied > 50, FIRST_SECONDS, "first messages")
        decks = draws(self.seed, self.stage.cast.broker, gap_seconds=self.form.gap_seconds, only=self.only)
        await self.chaos.play(next(decks))
        for fault in chain.from_iterable(decks):
            if self.latest is not None and self.latest.sent >= self.messages:
                break
            await self.chaos.play([fault])
        await self.chaos.heal()
        self.say("[green]healed[/]; the producers finish")
        await self.stage.retire("producer", "appender", within_seconds=self.form.finish_seconds)

    async def _rest(self) -> None:
        """Waits until nothing is under way any more, or nothing moves.

        Database and broker are looked at one after the other, and what goes from one to the other between the looks is
        seen by neither: so it is quiet when two rounds in a row say so and agree.
        """
        moved_at, before = time.monotonic(), None
        while True:
            now, waiting = await progress(self.stage), await waiting_in_broker(self.stage)
            quiet = now is not None and now.waiting == 0 and now.dead == 0 and waiting == 0
            if quiet and (now, waiting) == before:
                self.say("[green]quiet[/]")
                return
            if (now, waiting) != before:
                moved_at, before = time.monotonic(), (now, waiting)
            if time.monotonic() - moved_at > STALLED_SECONDS:
                self.stage.trouble(f"nothing moves any more: {now}, {waiting} entries wait in the broker")
                return
            await asyncio.sleep(0.3)

    async def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise RuntimeError(f"no {what} within {seconds:.0f} s; see {self.stage.directory}")
            await asyncio.sleep(0.1)

    async def _report(self) -> None:
        told_at = 0.0
        while True:
            now = await progress(self.stage)
            self.latest = now or self.latest
            if time.monotonic() - told_at > 4:
                told_at = time.monotonic()
                self.say(
                    "[dim]the database does not answer[/]" if now is None else
                    f"sent {now.sent:,}  applied {now.applied:,}  parked {now.parked}  dead {now.dead}"
                    f"  under way {now.waiting:,}"
                )  # fmt: skip
            await asyncio.sleep(1.0)
