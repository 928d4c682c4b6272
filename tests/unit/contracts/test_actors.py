"""Who asked, in the one text that tells it."""

from __future__ import annotations

import pytest

from prog_contracts.actors import actor_of_key, is_process, key_of, person_of
from prog_contracts.ids import new_id

PERSON, KEY = new_id("user"), new_id("apikey")


@pytest.mark.parametrize(
    ("actor", "person", "key", "process"),
    [
        (None, None, None, False),
        (PERSON, PERSON, None, False),
        (actor_of_key(PERSON, KEY), PERSON, KEY, False),
        ("prog-scheduler", None, None, True),
        ("prog publish", None, None, True),
        ("/somewhere", None, None, True),
    ],
    ids=["nobody", "person", "key", "scheduler", "command line", "path"],  # two processes make two ids
)
def test_every_actor_is_one_of_three(actor: str | None, person: str | None, key: str | None, process: bool) -> None:
    assert (person_of(actor), key_of(actor), is_process(actor)) == (person, key, process)


def test_a_key_is_not_the_person_who_made_it() -> None:
    assert actor_of_key(PERSON, KEY) != PERSON
