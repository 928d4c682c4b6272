"""Hashing: right answers, bounded concurrency, and one duration for everybody."""

import asyncio
import os
import sys
import time

import pytest
from argon2.exceptions import VerificationError

from prog_workers.users import passwords

pytestmark = pytest.mark.usefixtures("strong_hashing")


async def test_only_the_same_password_is_right() -> None:
    stored = await passwords.hash_password("correct horse")
    assert await passwords.verify(stored, "correct horse") == passwords.Verdict(right=True)
    assert not (await passwords.verify(stored, "correct horsf")).right
    assert not (await passwords.verify(stored, "correct horse ")).right
    assert not (await passwords.verify(None, "correct horse")).right


async def test_the_same_password_never_hashes_the_same() -> None:
    assert await passwords.hash_password("correct horse") != await passwords.hash_password("correct horse")


async def test_a_damaged_hash_is_no_wrong_password() -> None:
    with pytest.raises(VerificationError, match="Decoding"):
        await passwords.verify("$argon2id$damaged", "correct horse")


async def test_unknown_people_take_as_long_as_wrong_passwords() -> None:
    await passwords.warm_up()
    stored = await passwords.hash_password("correct horse")

    async def seconds(hash_: str | None) -> float:
        started = time.perf_counter()
        await passwords.verify(hash_, "wrong horse")
        return time.perf_counter() - started

    # In turns, and the quickest of each: whatever else the machine does only makes some of them slower.
    pairs = [(await seconds(stored), await seconds(None)) for _ in range(9)]
    known, unknown = (min(durations) for durations in zip(*pairs, strict=True))
    assert 0.5 < known / unknown < 2.0


async def test_a_storm_of_passwords_leaves_the_event_loop_free() -> None:
    storm = asyncio.gather(*(passwords.verify(None, "wrong horse") for _ in range(20)))
    longest = 0.0
    while not storm.done():
        started = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - started)
        await asyncio.sleep(0.001)
    await storm
    assert longest < 0.25


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere threads have no niceness of their own")
async def test_hashing_yields_to_whoever_else_wants_the_processor() -> None:
    loop = asyncio.get_running_loop()
    niceness = await loop.run_in_executor(passwords._threads, os.getpriority, os.PRIO_PROCESS, 0)
    assert niceness == min(os.getpriority(os.PRIO_PROCESS, 0) + passwords.NICENESS, 19)
