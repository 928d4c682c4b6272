"""New passwords are judged here, and all are hashed, recovery codes too: argon2id in a few threads of its own.

Hashing is meant to be slow and to take memory, so it has a bounded number of threads: a storm of sign-ins waits in line
here and neither takes the last processor nor multiplies the memory. They yield to every other thread that wants the
processor in the same container, or where Linux shares it out by session (`sched_autogroup_enabled`) in the same
session; among those it is shared evenly. Judging is done in the same threads.

How hard hashing is, an operator chooses of two known strengths (infra/adr/0036-how-hard-passwords-are-hashed.md). After
a change hashes of both are stored. So each comparison does the work of every strength in use, whosever password it is
and whatever comes of it: how long an answer takes tells nobody which hash there is, or that there is one.

What is hashed, judged and looked up is the whole password, in one form for letters that keyboards compose in different
ways; nothing is cut off or trimmed, and one that is too long is refused before anything is computed from it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import unicodedata
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from argon2.low_level import Type, hash_secret_raw

from prog_kit.settings import PasswordHashing
from prog_workers.users import errors, rules
from prog_workers.users.strength import BreachedPasswords, ServiceAway, is_guessable

MAX_CONCURRENCY: Final = 2
"""More workers hash more at once; one holds the memory of so many hashes at most."""
NICENESS: Final = 10
"""How much nicer than their process the threads are."""

_HASH_BYTES: Final = 32
_SALT_BYTES: Final = 16
_CODE_TIME_COST: Final = 1
_CODE_MEMORY_KIB: Final = 4 * 1024
"""Codes are 60 random bits, which no password has: a tenth of its cost is enough, and somebody waits for all ten."""


def _argon2id(passes: int, memory_mib: int, lanes: int) -> PasswordHasher:
    return PasswordHasher(passes, memory_mib * 1024, lanes, _HASH_BYTES, _SALT_BYTES)


STRENGTHS: Final[dict[PasswordHashing, PasswordHasher]] = {
    "owasp": _argon2id(passes=2, memory_mib=19, lanes=1),
    "rfc9106": _argon2id(passes=3, memory_mib=64, lanes=4),
}
"""What OWASP's Password Storage Cheat Sheet asks for at least. RFC 9106, section 4: the second recommended option."""

strength: PasswordHashing = "owasp"
"""What new hashes have, and all others get at the next sign-in (`PROG_PASSWORD_HASHING`)."""

_in_use: dict[str, str] = {}
"""Parameters of hashes that are known to be stored, as PHC has them, each with a hash that is nobody's."""


def concurrency(processors: int) -> int:
    """How many threads hash where a process may use so many processors: one processor is left to all else."""
    return max(1, min(MAX_CONCURRENCY, processors - 1))


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def yield_to_others() -> None:
    """On Linux a niceness is that of the calling thread; elsewhere it is the process's, and left alone."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


CONCURRENCY: Final = concurrency(processors())
_threads: Final = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="argon2", initializer=yield_to_others)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password was right. `fresh_hash` replaces the stored one where that has other parameters than new ones
    get."""

    right: bool
    fresh_hash: str | None = None


breached: BreachedPasswords | None = None
"""Where new passwords are looked up; None where no service is named. `app` sets it at start."""


async def require_good(password: str, *, email: str, name: str) -> None:
    """Raises Invalid for a new password that breaks the rules, is guessed first, or is known from a breach."""
    problems = rules.password_problems(password, email)
    if problems:
        raise errors.password_refused(problems)
    prepared = _prepared(password)
    loop = asyncio.get_running_loop()
    if await loop.run_in_executor(_threads, is_guessable, prepared, (email, name)):
        raise errors.password_too_common()
    if breached is None:
        return
    try:
        known = await breached.has(prepared)
    except ServiceAway:
        raise errors.breaches_unknown() from None
    if known:
        raise errors.password_breached()


async def hash_password(password: str) -> str:
    """The argon2id hash in PHC form."""
    return await asyncio.get_running_loop().run_in_executor(_threads, STRENGTHS[strength].hash, _prepared(password))


async def verify(stored_hash: str | None, password: str) -> Verdict:
    """Compares; without a stored hash, or with one of another strength, it takes the same time."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, stored_hash, _prepared(password))


async def hash_code(code: str, salt: str) -> str:
    """The argon2id hash, in hex, of a code in its kept form, under the salt (hex) of its set."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hash_code, code, salt)


async def warm_up(stored: Iterable[str] = ()) -> None:
    """Makes what passwords of unknown people are compared with, so that the first of them takes no longer: for the
    strength of new hashes, and for that of every one that is `stored`."""
    await asyncio.get_running_loop().run_in_executor(_threads, _warm_up, list(stored))


def _warm_up(stored: list[str]) -> None:
    for kept in (_nobodys_hash(), *stored):
        with suppress(InvalidHashError):  # damaged: whoever's it is, is told so at the next sign-in
            _note(kept)


def _verify(stored_hash: str | None, password: str) -> Verdict:
    """Does the work of every strength in use once: it compares with the stored hash or nobody's, or hashes anew."""
    newest = _note(_nobodys_hash())
    right, compared, fresh_hash = False, None, None
    if stored_hash is not None:
        right, compared = _matches(stored_hash, password), _note(stored_hash)
    for parameters, nobodys_hash in list(_in_use.items()):
        if parameters == newest != compared and right:
            fresh_hash = STRENGTHS[strength].hash(password)
        elif parameters != compared:
            _matches(nobodys_hash, password)
    return Verdict(right, fresh_hash)


def _matches(kept: str, password: str) -> bool:
    try:
        return STRENGTHS[strength].verify(kept, password)  # the parameters are those of `kept`
    except VerifyMismatchError:
        return False


def _note(kept: str) -> str:
    """The parameters of a hash, which are in use from now on. Raises InvalidHashError for what is no hash."""
    parameters = kept.rpartition("$")[0].rpartition("$")[0]
    if parameters not in _in_use:
        hasher = PasswordHasher.from_parameters(extract_parameters(kept))
        _in_use.setdefault(parameters, hasher.hash(secrets.token_urlsafe(32)))
    return parameters


def _hash_code(code: str, salt: str) -> str:
    raw = hash_secret_raw(
        code.encode(),
        bytes.fromhex(salt),
        time_cost=_CODE_TIME_COST,
        memory_cost=_CODE_MEMORY_KIB,
        parallelism=1,
        hash_len=_HASH_BYTES,
        type=Type.ID,
    )
    return raw.hex()


@cache
def _nobodys_hash() -> str:
    return STRENGTHS[strength].hash(secrets.token_urlsafe(32))


def _prepared(password: str) -> str:
    """One form for letters that keyboards compose in different ways (NIST SP 800-63B, section 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
