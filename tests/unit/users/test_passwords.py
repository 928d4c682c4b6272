"""Hashing: right answers, bounded concurrency, and one duration for everybody."""

import asyncio
import os
import sys
import time
from typing import Final, Literal

import pytest
from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import VerificationError

from prog_kit.settings import PasswordHashing, Settings
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
        started = time.process_time()
        await passwords.verify(hash_, "wrong horse")
        return time.process_time() - started

    # Of the processor, for others may have it meanwhile; in turns, and the quickest of each.
    pairs = [(await seconds(stored), await seconds(None)) for _ in range(9)]
    known, unknown = (min(durations) for durations in zip(*pairs, strict=True))
    assert 0.5 < known / unknown < 2.0


PARAMETERS: Final[dict[PasswordHashing, str]] = {"owasp": "m=19456,t=2,p=1", "rfc9106": "m=65536,t=3,p=4"}


def is_set(monkeypatch: pytest.MonkeyPatch, name: PasswordHashing) -> None:
    monkeypatch.setattr(passwords, "strength", name)
    passwords._nobodys_hash.cache_clear()


@pytest.mark.parametrize("name", PARAMETERS)
async def test_check_01_a_hash_of_the_other_strength_is_replaced_by_one_of_that_which_is_set(
    monkeypatch: pytest.MonkeyPatch, name: PasswordHashing
) -> None:
    [other] = PARAMETERS.keys() - {name}
    is_set(monkeypatch, other)
    earlier = await passwords.hash_password("correct horse")
    is_set(monkeypatch, name)
    assert await passwords.verify(earlier, "wrong horse") == passwords.Verdict(right=False)
    verdict = await passwords.verify(earlier, "correct horse")
    assert verdict.right
    assert verdict.fresh_hash is not None
    assert verdict.fresh_hash.startswith(f"$argon2id$v=19${PARAMETERS[name]}$")
    assert await passwords.verify(verdict.fresh_hash, "correct horse") == passwords.Verdict(right=True)


def test_check_01_it_is_what_owasp_asks_for_as_long_as_nobody_chooses() -> None:
    assert Settings.model_fields["password_hashing"].default == "owasp"


class Counting(PasswordHasher):
    """Tells the memory of each hash that it computes."""

    work: Final[list[int]] = []

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.work.append(self.memory_cost)
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:  # noqa: A002 - as argon2 names it
        self.work.append(extract_parameters(str(hash)).memory_cost)
        return super().verify(hash, password)


@pytest.mark.parametrize("password", ["right", "wrong"])
@pytest.mark.parametrize("kept", ["newest", "earlier", "nothing"])
async def test_check_04_while_hashes_of_both_strengths_are_kept_each_answer_costs_the_same(
    monkeypatch: pytest.MonkeyPatch, kept: str, password: str
) -> None:
    hashers = {"owasp": Counting(1, 8, 1), "rfc9106": Counting(1, 16, 1)}
    monkeypatch.setattr(passwords, "STRENGTHS", hashers)
    is_set(monkeypatch, "rfc9106")
    hashes = {"newest": hashers["rfc9106"].hash("right"), "earlier": hashers["owasp"].hash("right"), "nothing": None}
    await passwords.warm_up([str(hashes["earlier"]), "$argon2id$damaged"])
    Counting.work.clear()
    verdict = await passwords.verify(hashes[kept], password)
    assert verdict.right is (password == "right" and kept != "nothing")
    assert sorted(Counting.work) == [8, 16]


async def test_with_one_strength_nothing_is_computed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    hashers = {"owasp": Counting(1, 8, 1)}
    monkeypatch.setattr(passwords, "STRENGTHS", hashers)
    is_set(monkeypatch, "owasp")
    await passwords.warm_up()
    stored = await passwords.hash_password("right")
    Counting.work.clear()
    assert (await passwords.verify(stored, "right")).right
    assert not (await passwords.verify(None, "right")).right
    assert Counting.work == [8, 8]


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
@pytest.mark.parametrize(("processors", "threads"), [(1, 1), (2, 1), (3, 2), (64, 2)])
def test_hashing_leaves_a_processor_to_all_else_and_bounds_its_memory(processors: int, threads: int) -> None:
    assert passwords.concurrency(processors) == threads


async def test_hashing_yields_to_whoever_else_wants_the_processor() -> None:
    loop = asyncio.get_running_loop()
    niceness = await loop.run_in_executor(passwords._threads, os.getpriority, os.PRIO_PROCESS, 0)
    assert niceness == min(os.getpriority(os.PRIO_PROCESS, 0) + passwords.NICENESS, 19)
