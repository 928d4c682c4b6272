"""The edge: reads and writes against the bare framework on the same server, token checks, and sign-ins.

`authenticated get` is `GET /v1/tenants/{tenant_id}/limits`, which the edge remembers for a second, with everything that
a request passes: caller, session, role, limits, trace, log, metrics. `read of the database` is `GET /v1/me`, which is
read anew each time; `command post` is `POST /v1/events`, through edge, broker, worker, database and reply. The bare
framework is FastAPI under the same uvicorn, answering a model.

`login` is many people signing in at once, held against argon2id alone, with the parameters and threads of the
platform's own; `reader in a login storm` is the 99th percentile of one reader beside that storm, against the same
reader before it. A second platform tells both at the other strength of hashing. How slow argon2id alone makes a reader
of the bare framework, which nobody's reader can be quicker than, is among the peers. Rounds go in turns, and each
figure is the median over them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from typing import Any, Final

import orjson
import uvloop

from prog_infra.bench import Length, Options, Peer, Result, Row, machine
from prog_infra.bench.client import Connection
from prog_infra.bench.edge import alone
from prog_infra.bench.edge.driving import Load, drive
from prog_infra.bench.edge.hashing import hashing
from prog_infra.bench.edge.storms import STORM, Storms, sign_ins
from prog_infra.bench.figures import median, row_of_rates
from prog_infra.bench.targets import Target, second_edge, target
from prog_infra.errors import OperatorError
from prog_kit.settings import PasswordHashing, Settings
from prog_workers.users import passwords

ROUNDS: Final[dict[Length, tuple[int, float]]] = {"short": (3, 1.0), "normal": (5, 2.0), "long": (11, 5.0)}
"""Rounds, and seconds of each contest in them."""

CLIENTS: Final = 8
TENANT_SECONDS: Final = 60.0
_UNLIMITED: Final = {"PROG_RATE_LIMIT_FACTOR": "100000"}
"""The limits count, and let everything through: they are measured, not met."""
_USUAL: Final[PasswordHashing] = "owasp"
_BARE: Final = "prog_infra.bench.edge.bare"


def run(options: Options) -> Result:
    """Measures; platforms of its own are started unless the options name one (whose limits may get in the way, and
    whose strength of hashing is the only one that it has)."""
    rounds, seconds = ROUNDS[options.length]
    own = options.data is None and options.url is None
    with (
        target(options, PROG_PASSWORD_HASHING=_USUAL, **_UNLIMITED) as platform,
        second_edge(platform, _BARE) as bare_url,
    ):
        strength = _USUAL if own else Settings.load(dict(platform.environment)).password_hashing
        people = sign_ins(platform)
        measured, storms = uvloop.run(_measure(platform, bare_url, people, strength, rounds, seconds))
    rows, peers = measured.rows() + storms.rows(named=False), measured.peers() + storms.peers()
    if own:
        [other] = passwords.STRENGTHS.keys() - {strength}
        storms = _at_strength(options, other, rounds, seconds)
        rows, peers = rows + storms.rows(named=True), peers + storms.peers()
    return Result("edge", machine(), rows, peers)


def _at_strength(options: Options, strength: PasswordHashing, rounds: int, seconds: float) -> Storms:
    """Storms of sign-ins on a platform that hashes so."""
    settings = {"PROG_PASSWORD_HASHING": strength, **_UNLIMITED}
    with target(options, **settings) as platform, second_edge(platform, _BARE) as bare_url:
        return uvloop.run(_storms(platform, bare_url, sign_ins(platform), strength, rounds, seconds))


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

    def rows(self) -> list[Row]:
        rate = row_of_rates
        return [
            rate("authenticated get", self.get, self.bare_get, unit="requests/s", at_least=0.2, aim=0.5),
            rate("read of the database", self.read, self.bare_get, unit="requests/s", at_least=0.05, aim=0.25),
            # The bare framework stores nothing; `prog bench command` tells what a command costs over a stored row.
            rate("command post", self.post, self.bare_post, unit="requests/s", at_least=0.01, aim=0.1),
            rate("jwt check", self.check, self.bare_check, unit="checks/s", at_least=0.4, aim=0.8),
        ]

    def peers(self) -> list[Peer]:
        ours = version("prognetwork")
        return [
            Peer("fastapi and uvicorn, bare", version("fastapi"), "get", round(median(self.bare_get)), "requests/s"),
            Peer("fastapi and uvicorn, bare", version("fastapi"), "post", round(median(self.bare_post)), "requests/s"),
            Peer("pyjwt, decoding alone", version("pyjwt"), "jwt check", round(median(self.bare_check)), "checks/s"),
            Peer("ours, a token seen before", ours, "jwt check", round(median(self.remembered)), "checks/s"),
        ]


async def _measure(
    platform: Target, bare_url: str, sign_in: Load, strength: PasswordHashing, rounds: int, seconds: float
) -> tuple[Measured, Storms]:
    token = platform.token()
    tenant_id = await _tenant(platform, token)
    numbers = count()

    def event() -> dict[str, Any]:
        return {"specversion": "1.0", "id": f"{next(numbers)}", "source": "/bench", "type": "com.bench.made"} | {
            "data": {"total": 4200, "currency": "USD"}
        }

    get = _reader(platform, tenant_id, token)
    read = Load(platform.url, lambda client: client.get("/v1/me", token), 200)
    bare_get = _bare_reader(bare_url)
    post = Load(platform.url, lambda client: client.request("/v1/events", event(), token, tenant_id), 201)
    bare_post = Load(bare_url, lambda client: client.request("/bare", event()), 201)

    measured, storms = Measured(), Storms(strength)
    for load in (get, read, bare_get, post, bare_post):
        await drive(load, CLIENTS, seconds / 2)
    await drive(sign_in, STORM, seconds / 2)
    async with hashing(strength) as alone_hashing:
        for _ in range(rounds):
            for load, rates in (
                (get, measured.get),
                (read, measured.read),
                (bare_get, measured.bare_get),
                (post, measured.post),
                (bare_post, measured.bare_post),
            ):
                rates.append((await drive(load, CLIENTS, seconds)).rate)
            await storms.round(sign_in, get, bare_get, alone_hashing, seconds)
            for rates, figure in zip(
                (measured.check, measured.bare_check, measured.remembered), await alone.token_rates(), strict=True
            ):
                rates.append(figure)
    return measured, storms


async def _storms(
    platform: Target, bare_url: str, sign_in: Load, strength: PasswordHashing, rounds: int, seconds: float
) -> Storms:
    token = platform.token()
    reader, bare_reader = _reader(platform, await _tenant(platform, token), token), _bare_reader(bare_url)
    storms = Storms(strength)
    for load in (reader, bare_reader, sign_in):
        await drive(load, STORM, seconds / 2)
    async with hashing(strength) as alone_hashing:
        for _ in range(rounds):
            await storms.round(sign_in, reader, bare_reader, alone_hashing, seconds)
    return storms


def _reader(platform: Target, tenant_id: str, token: str) -> Load:
    return Load(platform.url, lambda client: client.get(f"/v1/tenants/{tenant_id}/limits", token), 200)


def _bare_reader(url: str) -> Load:
    return Load(url, lambda client: client.get("/bare"), 200)


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
