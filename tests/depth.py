"""How often the same kind of check is repeated: PROG_TEST_DEPTH, `usual` without it, `thorough` in CI.

Each kind of defect is looked for at either depth, but for the two that CONTRIBUTING.md names; how many of a kind, how
closely, and how many at once goes by the depth. The usual one makes fewer examples, fewer rounds, smaller floods, and
tells several failures in one story where the thorough one tells each by itself. A rare case that must not be missed
has a test, or an example, of its own.
"""

import os
from typing import Final, TypeVar

Value = TypeVar("Value")

VARIABLE: Final = "PROG_TEST_DEPTH"
DEPTHS: Final = ("usual", "thorough")


def by_depth(*, usual: Value, thorough: Value) -> Value:
    """The one of the depth that was asked for. Raises ValueError when there is no such depth."""
    return thorough if asked_for() == "thorough" else usual


def asked_for() -> str:
    """One of DEPTHS. Raises ValueError when what was asked for is none of them."""
    depth = os.environ.get(VARIABLE, DEPTHS[0])
    if depth not in DEPTHS:
        raise ValueError(f"{VARIABLE} is {depth!r}; choose from {', '.join(DEPTHS)}")
    return depth
