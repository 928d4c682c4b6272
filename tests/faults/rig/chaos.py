"""The faults: what can go wrong, drawn from the seed, and done to the stage.

The draws (which fault, to whom, after how long, for how long) follow from the seed alone; what is under way when a
fault strikes is up to the machine.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from prog_infra.servers import Valkey
from tests.faults.rig.recovery import Outage
from tests.faults.rig.servers import Server, empty, lose_the_end
from tests.faults.rig.stage import Actor, Role, Stage

Place = Literal["broker", "database", "valkey", "ways"]
SKEW_SECONDS: Final = 600
DRAIN_SECONDS: Final = 60.0
"""A process has so long to end after SIGTERM; its own limit is shorter."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One draw. `share` (0 to 1) picks the target and scales the length; what it means is up to the kind."""

    kind: str
    after_seconds: float
    target: float
    share: float


def draws(seed: int, broker: str, *, gap_seconds: float, only: Collection[str] = ()) -> Iterator[list[Fault]]:
    """Decks of faults without end; each has every kind that there is with this broker, or of `only` these, once, in an
    order of its own."""
    chance = random.Random(f"faults/{seed}")
    while True:
        kinds = [name for name, kind in KINDS.items() if broker in kind.brokers and (not only or name in only)]
        chance.shuffle(kinds)
        yield [Fault(kind, chance.uniform(0.2, 2.0) * gap_seconds, chance.random(), chance.random()) for kind in kinds]


@dataclass
class Chaos:
    """Does the faults to a stage, and notes when each began and when it was over."""

    stage: Stage
    say: Callable[[str], None]
    seed: int
    outages: list[Outage] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._chance = random.Random(f"bytes/{self.seed}")
        self._busy: dict[str, asyncio.Lock] = {}
        self._under_way: set[asyncio.Task[None]] = set()

    async def play(self, deck: list[Fault]) -> None:
        """Strikes with each fault in turn, not waiting for the one before to be healed."""
        for fault in deck:
            await asyncio.sleep(fault.after_seconds)
            task = asyncio.create_task(self.strike(fault))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def heal(self) -> None:
        """Returns when every fault is over. Raises what went wrong in one."""
        await asyncio.gather(*self._under_way)

    async def strike(self, fault: Fault) -> None:
        """One fault from beginning to end; a target suffers one at a time."""
        kind = KINDS[fault.kind]
        target = self._target(kind.targets, fault)
        async with self._busy.setdefault(target, asyncio.Lock()):
            began_at = time.time()
            self.counts[fault.kind] += 1
            self.say(f"[yellow]fault[/] {fault.kind.replace('_', ' ')}: {target}")
            healed_at = await kind.act(self, target, fault)
            self.outages.append(Outage(fault.kind, target, began_at, healed_at or time.time()))

    def _target(self, targets: tuple[Role, ...] | Place, fault: Fault) -> str:
        match targets:
            case "broker":
                names = [server.name for server in self.stage.brokers]
            case "database" | "valkey":
                names = [targets]
            case "ways":
                names = self.stage.routes()
            case _:
                names = [actor.name for actor in self.stage.of(*targets)]
        return names[int(fault.target * len(names))]

    # Processes.

    async def _kill(self, name: str, fault: Fault) -> float:
        """SIGKILL; a new one comes soon. Others take over before, or it takes its own place again."""
        actor = self._actor(name)
        self._excuse(actor, back_after_seconds=fault.share * 1.5 * self.stage.cast.lease_seconds)
        actor.send(signal.SIGKILL)
        return await self._gone(actor)

    async def _pause(self, name: str, fault: Fault) -> None:
        """SIGSTOP for longer than a lease, then SIGCONT: what it was about to write must not count."""
        actor = self._actor(name)
        actor.send(signal.SIGSTOP)
        await asyncio.sleep((1.3 + fault.share) * self.stage.cast.lease_seconds)
        actor.send(signal.SIGCONT)

    async def _stop(self, name: str, fault: Fault) -> float:
        """SIGTERM, as in a deployment: it finishes what is under way and ends in good order."""
        actor = self._actor(name)
        self._excuse(actor, back_after_seconds=DRAIN_SECONDS * 2)
        actor.send(signal.SIGTERM)
        asked_at = time.time()
        await self.stage.await_end(actor, DRAIN_SECONDS)
        actor.not_before = time.monotonic() + fault.share
        return asked_at

    async def _skew(self, name: str, fault: Fault) -> float:
        """Killed, and back with a clock that is ten minutes off; the next skew sets it right or otherwise wrong."""
        actor = self._actor(name)
        actor.environment["PROG_FAULTS_SKEW_SECONDS"] = str(SKEW_SECONDS if fault.share < 0.5 else -SKEW_SECONDS)
        return await self._kill(name, fault)

    # Servers.

    async def _restart(self, name: str, fault: Fault) -> None:
        """In good order, as for an update."""
        await self._down(name, fault, self._server(name).stop)

    async def _crash(self, name: str, fault: Fault) -> None:
        """SIGKILL to all of it, and back with what its disk holds."""
        await self._down(name, fault, self._server(name).kill)

    async def _empty(self, name: str, fault: Fault) -> None:
        """A broker that comes back with nothing."""
        await self._down(name, fault, self._server(name).kill, lambda: empty(self._valkey(name)))

    async def _lose_the_end(self, name: str, fault: Fault) -> None:
        """A broker that comes back without its latest writes, as after a power cut."""

        def lose() -> None:
            lose_the_end(self._valkey(name), self._chance)

        await self._down(name, fault, self._server(name).kill, lose)

    async def _freeze(self, name: str, fault: Fault) -> None:
        """A server that is there and does not answer."""
        server = self._server(name)
        server.pause()
        await asyncio.sleep((0.5 + 2 * fault.share) * self.stage.cast.lease_seconds)
        server.resume()

    async def _down(
        self, name: str, fault: Fault, end: Callable[[], Awaitable[None]], meanwhile: Callable[[], None] | None = None
    ) -> None:
        server = self._server(name)
        await end()
        if meanwhile is not None:
            meanwhile()
        await asyncio.sleep(2 * fault.share)
        await server.start()
        if self.stage.routes(name):
            await self.stage.aim(name)

    # Ways.

    async def _cut(self, route: str, fault: Fault) -> None:
        """Connections end in the middle of what is under way, several times."""
        for _ in range(1 + int(3 * fault.share)):
            await self.stage.proxy.order("cut", route)
            await asyncio.sleep(0.3)

    async def _delay(self, route: str, fault: Fault) -> None:
        """A slow way: every piece of data waits."""
        await self.stage.proxy.order("delay", route, seconds=0.02 + 0.2 * fault.share)
        await asyncio.sleep(1.5 * self.stage.cast.lease_seconds)
        await self.stage.proxy.order("heal", route)

    async def _hold(self, route: str, fault: Fault) -> None:
        """A partition: nothing gets through, nothing is told."""
        await self.stage.proxy.order("hold", route)
        await asyncio.sleep((1.0 + fault.share) * self.stage.cast.lease_seconds)
        await self.stage.proxy.order("heal", route)

    async def _swallow(self, route: str, fault: Fault) -> None:
        """Connections that nobody serves any more and nobody ends."""
        await self.stage.proxy.order("swallow", route)

    # By name.

    def _actor(self, name: str) -> Actor:
        return self.stage.actors[name]

    def _server(self, name: str) -> Server:
        return self.stage.servers[name]

    def _valkey(self, name: str) -> Valkey:
        embedded = self._server(name).embedded
        assert isinstance(embedded, Valkey)
        return embedded

    @staticmethod
    def _excuse(actor: Actor, *, back_after_seconds: float) -> None:
        actor.excused, actor.not_before = True, time.monotonic() + back_after_seconds

    @staticmethod
    async def _gone(actor: Actor) -> float:
        assert actor.process is not None
        await asyncio.to_thread(actor.process.wait)
        return time.time()


BOTH: Final = ("redis", "kafka")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: whom it strikes, what it does, and with which brokers there is such a thing."""

    targets: tuple[Role, ...] | Place
    act: Callable[[Chaos, str, Fault], Awaitable[float | None]]
    brokers: tuple[str, ...] = BOTH


KINDS: Final[dict[str, Kind]] = {
    "worker_killed": Kind(("worker",), Chaos._kill),
    "worker_paused": Kind(("worker",), Chaos._pause),
    "worker_stopped": Kind(("worker",), Chaos._stop),
    "clock_skewed": Kind(("worker",), Chaos._skew),
    "relay_killed": Kind(("relay",), Chaos._kill),
    "relay_paused": Kind(("relay",), Chaos._pause),
    "relay_stopped": Kind(("relay",), Chaos._stop),
    "producer_killed": Kind(("producer", "appender"), Chaos._kill),
    "provider_killed": Kind(("provider",), Chaos._kill),
    "broker_restarted": Kind("broker", Chaos._restart),
    "broker_killed": Kind("broker", Chaos._crash),
    "broker_emptied": Kind("broker", Chaos._empty, ("redis",)),
    "broker_lost_latest_writes": Kind("broker", Chaos._lose_the_end, ("redis",)),
    "broker_frozen": Kind("broker", Chaos._freeze),
    "database_restarted": Kind("database", Chaos._restart),
    "database_killed": Kind("database", Chaos._crash),
    "database_frozen": Kind("database", Chaos._freeze),
    "connections_cut": Kind("ways", Chaos._cut),
    "connections_delayed": Kind("ways", Chaos._delay),
    "connections_held": Kind("ways", Chaos._hold),
    "connections_swallowed": Kind("ways", Chaos._swallow),
    "signals_emptied": Kind("valkey", Chaos._empty, ("kafka",)),
}
