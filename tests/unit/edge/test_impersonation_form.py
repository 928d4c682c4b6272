"""For how many minutes an operator may act in somebody's name, as the console's form says it."""

from __future__ import annotations

import pytest

from prog_contracts.errors import Invalid
from prog_edge.backend.impersonations import minutes_of


@pytest.mark.parametrize(("text", "minutes"), [("1", 1), ("15", 15), ("60", 60), ("0015", 15)])
def test_one_to_sixty_minutes_are_taken(text: str, minutes: int) -> None:
    assert minutes_of(text) == minutes


@pytest.mark.parametrize("text", ["", "0", "61", "-5", "1.5", "½", "²", "an hour", "000160", "1" * 5000])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(Invalid) as refused:
        minutes_of(text)
    assert refused.value.fields[0].field == "minutes"
