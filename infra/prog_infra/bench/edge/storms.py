"""Many people who sign in at once, at one strength of hashing, and one reader beside them.

What bounds both is told, too: argon2id alone, and a reader of the bare framework beside that.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import cycle
from typing import Final

from prog_infra.bench import Peer, Row
from prog_infra.bench.edge.driving import Load, drive
from prog_infra.bench.edge.hashing import Hashing
from prog_infra.bench.figures import median, percentile, row_of_rates, row_of_times
from prog_infra.bench.targets import SIGN_IN, Target
from prog_infra.local import administrator
from prog_kit.settings import PasswordHashing, Settings
from prog_workers.users import passwords

STORM: Final = 4
"""Sign-ins at once beside a reader: more than any worker hashes at once."""
AT_ONCE: Final[dict[PasswordHashing, int]] = {"owasp": 8, "rfc9106": 4}
"""Sign-ins at once, when they are counted: so many that no core waits for one. Four lanes fill them sooner."""
PEOPLE: Final = 16


@dataclass(slots=True)
class Storms:
    """Figures for each round: rates a second, and readers' 99th percentiles in milliseconds."""

    strength: PasswordHashing
    login: list[float] = field(default_factory=list)
    argon2: list[float] = field(default_factory=list)
    argon2_everywhere: list[float] = field(default_factory=list)
    storm_p99: list[float] = field(default_factory=list)
    quiet_p99: list[float] = field(default_factory=list)
    bare_storm_p99: list[float] = field(default_factory=list)
    bare_quiet_p99: list[float] = field(default_factory=list)

    async def round(self, sign_in: Load, reader: Load, bare_reader: Load, alone: Hashing, seconds: float) -> None:
        self.quiet_p99.append(await _p99(reader, seconds))
        _, p99 = await asyncio.gather(drive(sign_in, STORM, seconds), _p99(reader, seconds))
        self.storm_p99.append(p99)
        self.login.append((await drive(sign_in, AT_ONCE[self.strength], seconds)).rate)
        self.argon2.append(await alone.rate(seconds))
        self.argon2_everywhere.append(await alone.rate(seconds, passwords.processors()))
        self.bare_quiet_p99.append(await _p99(bare_reader, seconds))
        _, p99 = await asyncio.gather(alone.rate(seconds), _p99(bare_reader, seconds))
        self.bare_storm_p99.append(p99)

    def rows(self, *, named: bool) -> list[Row]:
        """`named` says that the strength is not the platform's own, which needs no name."""
        name = f", {self.strength}" if named else ""
        unit = f"argon2id {parameters(self.strength)}"
        times = (self.storm_p99, self.quiet_p99)
        return [
            row_of_rates(f"login{name}", self.login, self.argon2, unit=f"logins/s, {unit}", at_least=0.2, aim=0.9),
            row_of_times(f"reader in a login storm{name}", *times, unit=f"ms p99, {unit}", at_least=0.02, aim=0.5),
        ]

    def peers(self) -> list[Peer]:
        bare, unit = ("fastapi and uvicorn, bare", version("fastapi")), f"ms p99, {self.strength}"
        argon2, hashes = version("argon2-cffi"), f"hashes/s, {self.strength}"
        alone, everywhere = "argon2-cffi, verifying alone", f"the same on all {passwords.processors()} processors"
        return [
            Peer(alone, argon2, "login", round(median(self.argon2), 1), hashes),
            Peer(everywhere, argon2, "login", round(median(self.argon2_everywhere), 1), hashes),
            Peer(*bare, "reader, quiet", round(median(self.bare_quiet_p99), 3), unit),
            Peer(*bare, "reader beside argon2id alone", round(median(self.bare_storm_p99), 3), unit),
        ]


def parameters(strength: PasswordHashing) -> str:
    hasher = passwords.STRENGTHS[strength]
    return f"m={hasher.memory_cost // 1024} MiB t={hasher.time_cost} p={hasher.parallelism}"


def sign_ins(platform: Target) -> Load:
    """Different people, one after the other: one person's sign-ins are handled in turn, and would be no storm."""
    settings = Settings.load(dict(platform.environment))
    addresses = [f"person-{number}@bench.example" for number in range(PEOPLE)]
    for address in addresses:
        administrator.ensure(address, platform.password, settings=settings)
    people = cycle([{"email": address, "password": platform.password} for address in addresses])
    return Load(platform.url, lambda client: client.request(SIGN_IN, next(people)), 200)


async def _p99(load: Load, seconds: float) -> float:
    return percentile((await drive(load, 1, seconds)).milliseconds, 0.99)
