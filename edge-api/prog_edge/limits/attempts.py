"""Attempts to prove who one is: after some free ones, each wrong one makes the next wait longer.

Counted for what is claimed (an address that was typed, a person whose second factor is asked for) and not for an
account: whether there is one makes no difference to the answer, or to its time. An attempt counts when it begins, so
that many at once are no way around, and is given back when it was right or nobody could say.

Counted twice: for the claim from this source, with a delay that grows long; and for the claim from everywhere, with one
that stays short, so that a stranger's guesses never shut the owner out. Nothing here looks at password resets.

A code of six digits can be guessed by whoever has the password and many addresses, a guess each short delay. So all
places where the person has proved nothing yet share a delay that grows long, and where they have, guesses elsewhere do
not count. Recovery codes and passkeys, which nobody guesses, do not wait for those guesses: the owner gets in by them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import prometheus_client as prometheus

from prog_broker.redis.connection import OUTAGES, Client
from prog_contracts.errors import Denied, Invalid
from prog_contracts.inputs import normalize_email
from prog_contracts.users import SecondFactor
from prog_edge.limits.rates import PATIENCE_SECONDS, Mode, client_of_address
from prog_edge.problems import TooMuch
from prog_kit.logging import get
from prog_kit.secrets import Sealer

KEPT_SECONDS: Final = 3600
"""After so long without an attempt, all is forgotten."""
MAX_CLAIMS: Final = 20_000
ACCEPTED: Final = 202
"""The status of an answer that is still to come."""
WRONG: Final = frozenset({"invalid_credentials", "invalid_code", "invalid_passkey"})
"""Codes of denials that say that what was presented is wrong."""

REFUSED: Final = prometheus.Counter(
    "prog_edge_attempts_refused_total", "Attempts to sign in that came before their time", ["mode"]
)

_log = get("prog_edge.limits")

_TAKE: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local wait = 0
for i = 1, #KEYS do
    wait = math.max(wait, tonumber(redis.call('HGET', KEYS[i], 'until') or '0') - now)
end
if wait > 0 then
    return wait
end
for i = 1, #KEYS do
    local free, first, longest = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
    local over = redis.call('HINCRBY', KEYS[i], 'count', 1) - free
    if over > 0 then
        local delay = math.min(first * 2 ^ math.min(over - 1, 30), longest) * 1000
        redis.call('HSET', KEYS[i], 'until', string.format('%.0f', now + delay))
    end
    redis.call('EXPIRE', KEYS[i], ARGV[4 * i])
end
return 0
"""
_GIVE_BACK: Final = """
local right = ARGV[#KEYS + 1] == '1'
if right then
    redis.call('DEL', KEYS[1])
end
for i = 1, #KEYS do
    if redis.call('EXISTS', KEYS[i]) == 1 then
        if redis.call('HINCRBY', KEYS[i], 'count', -1) <= tonumber(ARGV[i]) then
            redis.call('HDEL', KEYS[i], 'until')
        end
    end
end
return 0
"""


@dataclass(frozen=True, slots=True)
class Growth:
    """`free` attempts, then a delay of `first_seconds`, which doubles with each one up to `longest_seconds`; all is
    forgotten after `kept_seconds` without an attempt."""

    free: int
    longest_seconds: int
    first_seconds: int = 1
    kept_seconds: int = KEPT_SECONDS

    def delay_seconds(self, count: int) -> int:
        over = count - self.free
        return min(self.first_seconds << min(over - 1, 30), self.longest_seconds) if over > 0 else 0


FROM_ONE_SOURCE: Final = Growth(free=5, longest_seconds=300)
FROM_EVERYWHERE: Final = Growth(free=20, longest_seconds=30)
FROM_STRANGERS: Final = Growth(free=20, longest_seconds=900, kept_seconds=24 * 3600)
"""For codes that can be guessed, from all places together where their person has proved nothing of late."""
KNOWN_SECONDS: Final = 30 * 24 * 3600
"""So long is a place known where a person's second factor was right."""


@dataclass(slots=True)
class Attempt:
    """One attempt. Whoever makes it says how it went; `unknown` is when nobody could say."""

    outcome: Literal["unknown", "wrong", "right"] = "unknown"


def outcome_of(status: int, code: str | None) -> Literal["unknown", "wrong", "right"]:
    """How an attempt went, by the answer: its status, and the code of the problem that it tells."""
    if status == ACCEPTED:
        return "unknown"
    return "right" if status < 300 else "wrong" if code in WRONG else "unknown"


class Attempts:
    """Delays attempts, in Redis for all edges; while it is away, in each edge by the same rules."""

    def __init__(
        self,
        client: Client,
        *,
        mode: Mode,
        factor: float,
        growths: Sequence[Growth] = (FROM_ONE_SOURCE, FROM_EVERYWHERE, FROM_STRANGERS),
    ) -> None:
        self._client = client
        self._mode = mode
        self._take: Any = client.register_script(_TAKE)
        self._give_back: Any = client.register_script(_GIVE_BACK)
        self._growths = [replace(growth, free=max(1, math.floor(growth.free * factor))) for growth in growths]
        self._alone = LocalAttempts()

    @asynccontextmanager
    async def attempt(
        self, claim: str, address: str | None, factor: SecondFactor | None = None
    ) -> AsyncIterator[Attempt]:
        """Around one attempt to prove `claim`, a digest of who somebody says to be; `factor` names a second one.

        Raises TooMuch with code `too_many_attempts` when it comes before its time; then it does not count.
        """
        made = Attempt()
        if self._mode == "off":
            yield made
            return
        source = f"prog:attempts:{claim}:{client_of_address(address)}"
        known = None if factor is None else f"prog:attempts-known:{claim}:{client_of_address(address)}"
        here, everywhere, strangers = self._growths
        keys = {source: here, f"prog:attempts:{claim}": everywhere}
        if factor == "totp" and known is not None and not await self._is_known(known):
            keys = {source: here, f"prog:attempts-strangers:{claim}": strangers}
        await self._begin(keys)
        try:
            yield made
        except Denied as error:
            made.outcome = "wrong" if error.code in WRONG else "unknown"
            raise
        finally:
            if made.outcome != "wrong":
                await self._end(keys, right=made.outcome == "right", known=known)

    async def _is_known(self, key: str) -> bool:
        """Whether the person has proved themselves at this place before. No, while nobody can say."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return bool(await self._client.exists(key))
        except (TimeoutError, *OUTAGES):
            return False

    async def _begin(self, keys: Mapping[str, Growth]) -> None:
        values = [value for growth in keys.values() for value in _values(growth)]
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                wait_milliseconds = int(await self._take(keys=list(keys), args=values))
        except (TimeoutError, *OUTAGES) as error:
            _log.warning("attempts are counted by this process alone", error=repr(error))
            wait_milliseconds = self._alone.take(keys)
        if wait_milliseconds <= 0:
            return
        REFUSED.labels("enforced" if self._mode == "on" else "shadow").inc()
        _log.info("an attempt to sign in comes before its time", mode=self._mode)
        if self._mode == "on":
            detail = "There were many wrong attempts. Wait a little, use another way, or set a new password."
            raise TooMuch(
                detail, code="too_many_attempts", retry_after_seconds=max(1, math.ceil(wait_milliseconds / 1000))
            )

    async def _end(self, keys: Mapping[str, Growth], *, right: bool, known: str | None) -> None:
        """The attempt is given back. After a right one, those from this source before it are forgotten too, and the
        place is known."""
        self._alone.give_back(keys, right=right)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if right and known is not None:
                    await self._client.set(known, "1", ex=KNOWN_SECONDS)
                await self._give_back(keys=list(keys), args=[*(growth.free for growth in keys.values()), int(right)])
        except (TimeoutError, *OUTAGES) as error:
            _log.warning("an attempt is not given back", error=repr(error))


def claim_of_address(sealer: Sealer, email: str) -> str:
    """The claim of whoever signs in with this address: a digest of the form in which an account would have it."""
    try:
        form = normalize_email(email)
    except Invalid:
        form = email.strip().lower()
    return sealer.digest(form, "attempts")


def claim_of_person(sealer: Sealer, user_id: str) -> str:
    """The claim of whoever presents codes of this person's second factor."""
    return sealer.digest(user_id, "attempts_second_factor")


class LocalAttempts:
    """What one process counts by itself; bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._claims: OrderedDict[str, tuple[int, float, float]] = OrderedDict()
        """Count, until when the next one waits, and when all is forgotten."""

    def take(self, keys: Mapping[str, Growth]) -> int:
        """Milliseconds to wait, or 0 and the attempt counts."""
        now = self._clock()
        found = [self._found(key, now) for key in keys]
        wait_seconds = max(until - now for _, until in found)
        if wait_seconds > 0:
            return math.ceil(wait_seconds * 1000)
        for (key, growth), (count, _) in zip(keys.items(), found, strict=True):
            delay_seconds = growth.delay_seconds(count + 1)
            until = now + delay_seconds if delay_seconds else 0.0
            self._claims[key] = (count + 1, until, now + growth.kept_seconds)
            self._claims.move_to_end(key)
        while len(self._claims) > MAX_CLAIMS:
            self._claims.popitem(last=False)
        return 0

    def give_back(self, keys: Mapping[str, Growth], *, right: bool) -> None:
        if right:
            self._claims.pop(next(iter(keys)), None)
        for key, growth in keys.items():
            if key in self._claims:
                count, until, forgotten_at = self._claims[key]
                self._claims[key] = (count - 1, 0.0 if count - 1 <= growth.free else until, forgotten_at)

    def _found(self, key: str, now: float) -> tuple[int, float]:
        count, until, forgotten_at = self._claims.get(key, (0, 0.0, 0.0))
        return (count, until) if now < forgotten_at else (0, 0.0)


def _values(growth: Growth) -> tuple[int, int, int, int]:
    return growth.free, growth.first_seconds, growth.longest_seconds, growth.kept_seconds
