"""RSA keys of tests: a few that are made once, and read once.

To find a new one takes a tenth of a second of the processor, and to check one that is read half of that; each platform
of a test needs one for its ID tokens. Only what runs in the test's own process is meant. A database in which more than
`COUNT` keys were made would meet the first one again, and refuse it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from threading import Lock
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from prog_workers.users.signing import IdTokens

COUNT: Final = 8


@contextmanager
def few() -> Iterator[None]:
    """Keys of the same size, of which a new one differs from the `COUNT` - 1 before it."""
    make, load = IdTokens.new_key, IdTokens.load
    made: list[RSAPrivateKey] = []
    loaded: dict[str, RSAPrivateKey] = {}
    numbers, turn = count(), Lock()

    def new_key(self: IdTokens) -> RSAPrivateKey:
        with turn:
            number = next(numbers) % COUNT
            if number == len(made):
                made.append(make(self))
            return made[number]

    def load_once(self: IdTokens, text: str) -> RSAPrivateKey:
        if text not in loaded:
            loaded[text] = load(self, text)
        return loaded[text]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(IdTokens, "new_key", new_key)
        patch.setattr(IdTokens, "load", load_once)
        yield
