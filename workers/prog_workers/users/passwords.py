"""New passwords are judged here, and all are hashed, recovery codes too: argon2id in a few threads of its own.

Hashing is meant to be slow and to take memory, so it has a bounded number of threads: a storm of sign-ins waits in line
here and neither starves the event loop nor multiplies the memory. They yield to every other thread and process of the
machine that wants the processor, so that reads stay quick meanwhile. Judging is done in the same threads.

What is hashed, judged and looked up is the whole password, in one form for letters that keyboards compose in different
ways; nothing is cut off or trimmed, and one that is too long is refused before anything is computed from it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from argon2.low_level import Type, hash_secret_raw

from prog_workers.users import errors, rules
from prog_workers.users.strength import BreachedPasswords, ServiceAway, is_guessable

CONCURRENCY: Final = 2
NICENESS: Final = 10
"""How much nicer than their process the threads are."""

_TIME_COST: Final = 2
_MEMORY_KIB: Final = 19 * 1024
_HASH_BYTES: Final = 32
_CODE_TIME_COST: Final = 1
_CODE_MEMORY_KIB: Final = 4 * 1024
"""Codes are 60 random bits, which no password has: a tenth of its cost is enough, and somebody waits for all ten."""

_hasher: Final = PasswordHasher(_TIME_COST, _MEMORY_KIB, parallelism=1, hash_len=_HASH_BYTES, salt_len=16)
"""OWASP Password Storage Cheat Sheet: argon2id with m = 19 MiB, t = 2, p = 1 at the least."""


def _yield_to_others() -> None:
    """On Linux a niceness is that of the calling thread; elsewhere it is the process's, and left alone."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, 0, os.getpriority(os.PRIO_PROCESS, 0) + NICENESS)


_threads: Final = ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="argon2", initializer=_yield_to_others)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a password was right. `stronger_hash` replaces the stored one when the parameters were raised since."""

    right: bool
    stronger_hash: str | None = None


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
    return await asyncio.get_running_loop().run_in_executor(_threads, _hasher.hash, _prepared(password))


async def verify(stored_hash: str | None, password: str) -> Verdict:
    """Compares; without a stored hash it takes the same time and says no."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _verify, stored_hash, _prepared(password))


async def hash_code(code: str, salt: str) -> str:
    """The argon2id hash, in hex, of a code in its kept form, under the salt (hex) of its set."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hash_code, code, salt)


async def warm_up() -> None:
    """Makes the hash that passwords of unknown people are compared with, so that the first of them takes no longer."""
    await asyncio.get_running_loop().run_in_executor(_threads, _nobodys_hash)


def _verify(stored_hash: str | None, password: str) -> Verdict:
    try:
        _hasher.verify(stored_hash or _nobodys_hash(), password)
    except VerifyMismatchError:
        return Verdict(right=False)
    if stored_hash is None:
        return Verdict(right=False)
    return Verdict(
        right=True, stronger_hash=_hasher.hash(password) if _hasher.check_needs_rehash(stored_hash) else None
    )


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
    return _hasher.hash(secrets.token_urlsafe(32))


def _prepared(password: str) -> str:
    """One form for letters that keyboards compose in different ways (NIST SP 800-63B, section 5.1.1.2)."""
    return unicodedata.normalize("NFKC", password)
