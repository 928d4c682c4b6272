"""The relay's note, written and read."""

from __future__ import annotations

import pytest

from prog_broker.progress import NOWHERE, Note


@pytest.mark.parametrize("note", [Note(), Note(("18446744073709551615", 7), 3), Note(("9", 0), 0)])
def test_a_note_is_read_as_it_was_written(note: Note) -> None:
    assert Note.parse(str(note)) == note


def test_a_note_of_an_earlier_version_counts_no_commands() -> None:
    assert Note.parse("42:17") == Note(("42", 17), 0)


def test_transactions_are_compared_as_numbers() -> None:
    assert Note(("10", 1)).reaches(("9", 5))
    assert not Note(("9", 5)).reaches(("10", 1))
    assert Note().reaches(NOWHERE)
    assert not Note().reaches(("0", 1))
