"""One command through all of the platform, against the least that any server does for a write.

Ours is `POST /v1/tenants` answered 201: through edge, broker, worker, database and reply. The floor is the same edge
server answering a constant after one committed insert over asyncpg. One client, one request at a time, one after the
other: ours, a pause until all that the new tenant causes (some thirty messages) is done, the floor, and a pause again.
So neither is measured beside that work, and both meet an idle machine. What a client sees that does not pause is told
too, as a peer.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Final

import asyncpg
import uvloop

from prog_contracts.ids import new_id
from prog_infra.bench import Length, Options, Peer, Result, Row, floor, machine
from prog_infra.bench.client import Connection
from prog_infra.bench.figures import median, percentile, row_of_times
from prog_infra.bench.targets import Target, second_edge, target
from prog_infra.errors import OperatorError

ROUNDS: Final[dict[Length, tuple[int, int]]] = {"short": (3, 60), "normal": (5, 100), "long": (15, 200)}
"""Rounds, and pairs of requests in each."""

WARM_UP: Final = 40
BACK_TO_BACK: Final = 100
REST_SECONDS: Final = 0.1
REST_PATIENCE_SECONDS: Final = 60.0

_LAST_WORK: Final = """
SELECT extract(epoch FROM clock_timestamp() - max(handled_at))::float8
FROM bus.inbox WHERE handled_at > clock_timestamp() - interval '5 minutes' AND consumer_group <> 'monitoring'
"""


def run(options: Options) -> Result:
    """Measures; a platform of its own is started unless the options name one."""
    rounds, pairs = ROUNDS[options.length]
    with target(options) as platform, second_edge(platform, "prog_infra.bench.floor") as floor_url:
        measured = uvloop.run(_measure(platform, floor_url, rounds, pairs))
    return Result("command", machine(), measured.rows(), measured.peers())


@dataclass(slots=True)
class Measured:
    """Milliseconds of each request, a list for each round."""

    ours: list[list[float]] = field(default_factory=list)
    floor: list[list[float]] = field(default_factory=list)
    constant: list[list[float]] = field(default_factory=list)
    insert: list[list[float]] = field(default_factory=list)
    back_to_back: list[list[float]] = field(default_factory=list)

    def rows(self) -> list[Row]:
        def at(probability: float, rounds: list[list[float]]) -> list[float]:
            return [percentile(times, probability) for times in rounds]

        return [
            row_of_times("median", at(0.5, self.ours), at(0.5, self.floor), unit="ms", at_least=0.25, aim=0.5),
            # The promise is about the median; the tail is the machine's as much as ours, and guarded more loosely.
            row_of_times("p99", at(0.99, self.ours), at(0.99, self.floor), unit="ms", at_least=0.1, aim=0.25),
        ]

    def peers(self) -> list[Peer]:
        """The parts of the floor, and ours without pauses."""
        parts = (
            ("uvicorn, a constant answer", version("uvicorn"), self.constant),
            ("asyncpg, one committed insert", version("asyncpg"), self.insert),
            ("ours, one request after the other without a pause", version("prognetwork"), self.back_to_back),
        )
        return [
            Peer(name, number, path, round(median([percentile(times, p) for times in rounds]), 3), "ms")
            for name, number, rounds in parts
            for path, p in (("median", 0.5), ("p99", 0.99))
        ]


async def _measure(platform: Target, floor_url: str, rounds: int, pairs: int) -> Measured:
    database = await asyncpg.connect(platform.database_url)
    edge, bare = await Connection.open(platform.url), await Connection.open(floor_url)
    try:
        await database.execute(floor.TABLE)
        stage = _Stage(database, edge, bare, platform.token())
        for _ in range(WARM_UP):
            await stage.pair(Measured([[]], [[]], [[]], [[]]))
        measured = Measured()
        for _ in range(rounds):
            for times in (measured.ours, measured.floor, measured.constant, measured.insert):
                times.append([])
            for _ in range(pairs):
                await stage.pair(measured)
        measured.back_to_back.append([await stage.ours() for _ in range(BACK_TO_BACK)])
        await stage.come_to_rest()
        return measured
    finally:
        await database.execute(floor.DROP)
        await database.close()
        await edge.close()
        await bare.close()


@dataclass(frozen=True, slots=True)
class _Stage:
    """The two servers and the database under them."""

    database: asyncpg.Connection[asyncpg.Record]
    edge: Connection
    bare: Connection
    token: str

    async def pair(self, measured: Measured) -> None:
        """One of each, into the last round of `measured`. Floor and ours both meet a machine that was idle."""
        measured.ours[-1].append(await self.ours())
        await self.come_to_rest()
        measured.floor[-1].append(await self.bare.timed(self.bare.request("/bench/floor", _tenant()), 201))
        await asyncio.sleep(REST_SECONDS)
        measured.constant[-1].append(await self.bare.timed(self.bare.request("/bench/constant", _tenant()), 201))
        measured.insert[-1].append(await self._insert())
        await asyncio.sleep(REST_SECONDS)

    async def ours(self) -> float:
        return await self.edge.timed(self.edge.request("/v1/tenants", _tenant(), self.token), 201)

    async def _insert(self) -> float:
        tenant_id = new_id("tenant")
        began = time.perf_counter_ns()
        await self.database.execute(floor.INSERT, tenant_id, "Bench", tenant_id)
        return (time.perf_counter_ns() - began) / 1e6

    async def come_to_rest(self) -> None:
        """Waits until no domain has handled anything for a moment. Raises OperatorError when that does not come."""
        deadline = time.monotonic() + REST_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            idle: float | None = await self.database.fetchval(_LAST_WORK)
            if idle is None or idle > REST_SECONDS:
                return
            await asyncio.sleep(max(0.01, REST_SECONDS - idle))
        raise OperatorError("the platform does not come to rest", remedy="measure one that nobody else uses")


def _tenant() -> dict[str, str]:
    return {"name": f"Bench {time.monotonic_ns()}"}
