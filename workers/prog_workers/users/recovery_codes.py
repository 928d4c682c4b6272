"""Recovery codes: for somebody who has lost the authenticator app. Ten of them, each good once.

A code is 60 random bits. What is kept is its argon2id hash (ASVS 5.0, 6.5.2) under a random salt that the codes of a
set share: so one hash finds a code among ten, however it was typed.
"""

from __future__ import annotations

import re
import secrets
from typing import Final

COUNT: Final = 10
_GROUPS: Final = 3
_GROUP_LENGTH: Final = 4
_SALT_BYTES: Final = 16

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's base 32, without letters that look like others."""
_LOOKALIKES: Final = str.maketrans("oil", "011")
_CODE: Final = re.compile(rf"[{_ALPHABET}]{{{_GROUPS * _GROUP_LENGTH}}}")


def new_set() -> tuple[str, ...]:
    """Ten codes as they are shown: `4x7k-q2mp-9dch`. No two are the same."""
    codes: set[str] = set()
    while len(codes) < COUNT:
        codes.add("-".join(_group() for _ in range(_GROUPS)))
    return tuple(codes)


def new_salt() -> str:
    return secrets.token_hex(_SALT_BYTES)


def kept_form(code: str) -> str | None:
    """The form of a code that is hashed, or None for what is no code. Case, spaces and hyphens make no difference."""
    form = re.sub(r"[\s-]", "", code).lower().translate(_LOOKALIKES)
    return form if _CODE.fullmatch(form) else None


def _group() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_GROUP_LENGTH))
