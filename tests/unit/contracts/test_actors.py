"""Who asked, in the one text that tells it."""

from __future__ import annotations

import pytest

from prog_contracts.actors import (
    actor_of_impersonation,
    actor_of_key,
    impersonator_of,
    is_by_themselves,
    is_process,
    key_of,
    person_of,
)
from prog_contracts.ids import new_id

PERSON, OPERATOR, KEY = new_id("user"), new_id("user"), new_id("apikey")


@pytest.mark.parametrize(
    ("actor", "person", "key", "process"),
    [
        (None, None, None, False),
        (PERSON, PERSON, None, False),
        (actor_of_key(PERSON, KEY), PERSON, KEY, False),
        (actor_of_impersonation(PERSON, OPERATOR), PERSON, None, False),
        ("prog-scheduler", None, None, True),
        ("prog publish", None, None, True),
        ("/somewhere", None, None, True),
    ],
    ids=["nobody", "person", "key", "impersonator", "scheduler", "command line", "path"],  # two processes make two ids
)
def test_every_actor_is_one_of_three(actor: str | None, person: str | None, key: str | None, process: bool) -> None:
    assert (person_of(actor), key_of(actor), is_process(actor)) == (person, key, process)


def test_a_key_is_not_the_person_who_made_it() -> None:
    assert actor_of_key(PERSON, KEY) != PERSON


def test_an_operator_in_somebody_s_name_is_neither_of_them_by_themselves() -> None:
    actor = actor_of_impersonation(PERSON, OPERATOR)
    assert (person_of(actor), impersonator_of(actor)) == (PERSON, OPERATOR)
    assert actor not in (PERSON, OPERATOR, actor_of_impersonation(OPERATOR, PERSON))
    assert not is_by_themselves(actor)


@pytest.mark.parametrize(
    "actor",
    [None, PERSON, actor_of_key(PERSON, KEY), actor_of_key(PERSON, new_id("client")), "x"],
    ids=["nobody", "person", "key", "client", "process"],
)
def test_nobody_else_acts_in_a_name(actor: str | None) -> None:
    assert impersonator_of(actor) is None
    assert is_by_themselves(actor) is (actor == PERSON)
