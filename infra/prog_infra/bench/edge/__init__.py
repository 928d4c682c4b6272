"""The edge: reads and writes against the bare framework on the same server, token checks, and sign-ins.

`authenticated get` is `GET /v1/tenants/{tenant_id}/limits`, which the edge remembers for a second, with everything that
a request passes: caller, session, role, limits, trace, log, metrics. `read of the database` is `GET /v1/me`, which is
read anew each time; `command post` is `POST /v1/events`, through edge, broker, worker, database and reply. The bare
framework is FastAPI under the same uvicorn, answering a model.

`login` is many people signing in at once, held against argon2id alone, with the parameters and threads of the
platform's own; `reader in a login storm` is the 99th percentile of one reader beside that storm, against the same
reader before it. Rounds go in turns, and each figure is the median over them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count, cycle
from typing import Any, Final

import orjson
import uvloop

from prog_infra.bench import Length, Options, Peer, Result, Row, machine
from prog_infra.bench.client import Connection
from prog_infra.bench.edge import alone
from prog_infra.bench.edge.driving import Load, drive
from prog_infra.bench.figures import median, percentile, row_of_rates, row_of_times
from prog_infra.bench.targets import SIGN_IN, Target, second_edge, target
from prog_infra.errors import OperatorError
from prog_infra.local import administrator
from prog_kit.settings import Settings

ROUNDS: Final[dict[Length, tuple[int, float]]] = {"short": (3, 1.0), "normal": (5, 3.0), "long": (11, 5.0)}
"""Rounds, and seconds of each contest in them."""

CLIENTS: Final = 8
STORM: Final = 4
"""Sign-ins at once: twice as many as are hashed at once."""
PEOPLE: Final = 16
TENANT_SECONDS: Final = 60.0
_UNLIMITED: Final = {"PROG_RATE_LIMIT_FACTOR": "100000"}
"""The limits count, and let everything through: they are measured, not met."""


def run(options: Options) -> Result:
    """Measures; a platform of its own is started unless the options name one (whose limits may get in the way)."""
    rounds, seconds = ROUNDS[options.length]
    with target(options, **_UNLIMITED) as platform, second_edge(platform, "prog_infra.bench.edge.bare") as bare_url:
        measured = uvloop.run(_measure(platform, bare_url, _people(platform), rounds, seconds))
    return Result("edge", machine(), measured.rows(), measured.peers())


@dataclass(slots=True)
class Measured:
    """A figure for each round: rates a second, and the reader's 99th percentiles in milliseconds."""

    get: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    bare_get: list[float] = field(default_factory=list)
    post: list[float] = field(default_factory=list)
    bare_post: list[float] = field(default_factory=list)
    check: list[float] = field(default_factory=list)
    bare_check: list[float] = field(default_factory=list)
    remembered: list[float] = field(default_factory=list)
    login: list[float] = field(default_factory=list)
    argon2: list[float] = field(default_factory=list)
    storm_p99: list[float] = field(default_factory=list)
    quiet_p99: list[float] = field(default_factory=list)

    def rows(self) -> list[Row]:
        rate, time = row_of_rates, row_of_times
        return [
            rate("authenticated get", self.get, self.bare_get, unit="requests/s", at_least=0.2, aim=0.5),
            rate("read of the database", self.read, self.bare_get, unit="requests/s", at_least=0.05, aim=0.25),
            # The bare framework stores nothing; `prog bench command` tells what a command costs over a stored row.
            rate("command post", self.post, self.bare_post, unit="requests/s", at_least=0.01, aim=0.1),
            rate("jwt check", self.check, self.bare_check, unit="checks/s", at_least=0.4, aim=0.8),
            rate("login", self.login, self.argon2, unit="logins/s", at_least=0.2, aim=0.9),
            time("reader in a login storm", self.storm_p99, self.quiet_p99, unit="ms p99", at_least=0.02, aim=0.5),
        ]

    def peers(self) -> list[Peer]:
        ours = version("prognetwork")
        return [
            Peer("fastapi and uvicorn, bare", version("fastapi"), "get", round(median(self.bare_get)), "requests/s"),
            Peer("fastapi and uvicorn, bare", version("fastapi"), "post", round(median(self.bare_post)), "requests/s"),
            Peer(
                "argon2-cffi, verifying alone", version("argon2-cffi"), "login", round(median(self.argon2)), "hashes/s"
            ),
            Peer("pyjwt, decoding alone", version("pyjwt"), "jwt check", round(median(self.bare_check)), "checks/s"),
            Peer("ours, a token seen before", ours, "jwt check", round(median(self.remembered)), "checks/s"),
        ]


async def _measure(
    platform: Target, bare_url: str, sign_ins: list[dict[str, str]], rounds: int, seconds: float
) -> Measured:
    token = platform.token()
    tenant_id = await _tenant(platform, token)
    numbers = count()
    people = cycle(sign_ins)

    def event() -> dict[str, Any]:
        return {"specversion": "1.0", "id": f"{next(numbers)}", "source": "/bench", "type": "com.bench.made"} | {
            "data": {"total": 4200, "currency": "USD"}
        }

    get = Load(platform.url, lambda client: client.get(f"/v1/tenants/{tenant_id}/limits", token), 200)
    read = Load(platform.url, lambda client: client.get("/v1/me", token), 200)
    bare_get = Load(bare_url, lambda client: client.get("/bare"), 200)
    post = Load(platform.url, lambda client: client.request("/v1/events", event(), token, tenant_id), 201)
    bare_post = Load(bare_url, lambda client: client.request("/bare", event()), 201)
    login = Load(platform.url, lambda client: client.request(SIGN_IN, next(people)), 200)

    measured = Measured()
    for load in (get, read, bare_get, post, bare_post, login):
        await drive(load, CLIENTS, seconds / 2)
    for _ in range(rounds):
        for load, rates, clients in (
            (get, measured.get, CLIENTS),
            (read, measured.read, CLIENTS),
            (bare_get, measured.bare_get, CLIENTS),
            (post, measured.post, CLIENTS),
            (bare_post, measured.bare_post, CLIENTS),
        ):
            rates.append((await drive(load, clients, seconds)).rate)
        measured.quiet_p99.append(percentile((await drive(get, 1, seconds)).milliseconds, 0.99))
        _, reader = await asyncio.gather(drive(login, STORM, seconds), drive(get, 1, seconds))
        measured.storm_p99.append(percentile(reader.milliseconds, 0.99))
        measured.login.append((await drive(login, STORM, seconds)).rate)
        measured.argon2.append(await alone.argon2_rate(seconds))
        for rates, figure in zip(
            (measured.check, measured.bare_check, measured.remembered), await alone.token_rates(), strict=True
        ):
            rates.append(figure)
    return measured


def _people(platform: Target) -> list[dict[str, str]]:
    """What so many people sign in with. One person's sign-ins are handled in turn, and would be no storm."""
    settings = Settings.load(dict(platform.environment))
    addresses = [f"person-{number}@bench.example" for number in range(PEOPLE)]
    for address in addresses:
        administrator.ensure(address, platform.password, settings=settings)
    return [{"email": address, "password": platform.password} for address in addresses]


async def _tenant(platform: Target, token: str) -> str:
    """A tenant of the administrator's, once it is provisioned."""
    client = await Connection.open(platform.url)
    try:
        status, body = await client.send(client.request("/v1/tenants", {"name": "Bench"}, token))
        if status != 201:
            raise OperatorError(f"no tenant to measure with: {status} {body[:200].decode()}", remedy="see its logs")
        tenant_id = str(orjson.loads(body)["id"])
        async with asyncio.timeout(TENANT_SECONDS):
            while True:
                status, body = await client.send(client.get(f"/v1/tenants/{tenant_id}", token))
                if status == 200 and orjson.loads(body)["status"] == "active":
                    return tenant_id
                await asyncio.sleep(0.05)
    finally:
        await client.close()
