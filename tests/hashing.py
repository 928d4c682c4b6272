"""How tests hash passwords and recovery codes: as the product does, with the least that argon2 can be asked for.

A sign-in at the product's strength takes more of the processor than all else that a test of it does, and hundreds of
tests sign somebody in. Only what runs in the test's own process is meant: a platform of processes is the product's.
Tests of the strength and of times ask for `strong_hashing`, which is the cheaper of the two that operators choose of.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from argon2 import PasswordHasher

from prog_kit.settings import PasswordHashing
from prog_workers.users import passwords

STRENGTHS = dict(passwords.STRENGTHS)
STRONG_CODE_KIB = passwords._CODE_MEMORY_KIB
_LEAST_KIB = 8


@contextmanager
def quick() -> Iterator[None]:
    """The same algorithm and lengths, and hardly any work."""
    least = {
        name: PasswordHasher(
            1, _LEAST_KIB, parallelism=1, hash_len=strong.hash_len, salt_len=strong.salt_len, type=strong.type
        )
        for name, strong in STRENGTHS.items()
    }
    with _hashing(least, _LEAST_KIB):
        yield


@contextmanager
def strong() -> Iterator[None]:
    """The product's own, within `quick`."""
    with _hashing(STRENGTHS, STRONG_CODE_KIB):
        passwords.strength = "owasp"
        yield


@contextmanager
def _hashing(strengths: dict[PasswordHashing, PasswordHasher], code_kib: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "STRENGTHS", strengths)
        patch.setattr(passwords, "strength", passwords.strength)
        patch.setattr(passwords, "_in_use", {})
        patch.setattr(passwords, "_CODE_MEMORY_KIB", code_kib)
        passwords._nobodys_hash.cache_clear()
        yield
    passwords._nobodys_hash.cache_clear()
