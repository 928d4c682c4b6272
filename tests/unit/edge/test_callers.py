"""Whoever calls has the rights, the quota and the name of what was shown, and no more."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, cast

import pytest

from prog_contracts.actors import actor_of_impersonation, actor_of_key
from prog_contracts.errors import Denied
from prog_contracts.ids import new_id
from prog_contracts.permissions import IMPERSONATED, NOT_WHILE_IMPERSONATING
from prog_edge.access import Access
from prog_edge.callers import Caller
from prog_edge.context import RequestContext
from prog_edge.keyring import HeldKey

if TYPE_CHECKING:
    from prog_edge.platform import Platform

PERSON, OPERATOR = new_id("user"), new_id("user")


def test_a_person_has_no_bounds_but_their_roles() -> None:
    caller = Caller(PERSON, new_id("session"), None, "cookie", math.inf)
    assert (caller.scopes, caller.client, caller.actor) == (None, PERSON, PERSON)


def test_a_key_has_its_scopes_a_quota_of_its_own_and_both_names() -> None:
    key = HeldKey(new_id("apikey"), new_id("tenant"), frozenset({"event.read"}), "digest")
    caller = Caller(PERSON, None, None, "api_key", math.inf, key)
    assert (caller.scopes, caller.client) == (key.scopes, key.key_id)
    assert caller.actor == actor_of_key(PERSON, key.key_id)


def test_an_operator_in_somebody_s_name_has_bounds_their_own_quota_and_both_names() -> None:
    caller = Caller(PERSON, new_id("impersonation"), None, "bearer", math.inf, operator_id=OPERATOR)
    assert caller.scopes is not None
    assert caller.scopes == frozenset[str](IMPERSONATED)
    assert not caller.scopes.intersection(NOT_WHILE_IMPERSONATING)
    assert caller.client == OPERATOR
    assert caller.actor == actor_of_impersonation(PERSON, OPERATOR)
    assert not caller.is_operator


def access_of(caller: Caller) -> Access:
    context = RequestContext("request", "00-0-0-00", "https://prog.example")
    return Access(cast("Platform", None), context, caller)


def test_a_person_s_own_session_is_the_one_that_was_shown() -> None:
    session_id = new_id("session")
    assert access_of(Caller(PERSON, session_id, None, "cookie", math.inf)).session_id == session_id


def test_in_somebody_s_name_there_is_no_session_of_theirs() -> None:
    """What asks for it is that person's alone to do: with the impersonation's id it would be looked for in vain, and
    told as a session that is over."""
    acting = Caller(PERSON, new_id("impersonation"), None, "bearer", math.inf, operator_id=OPERATOR)
    with pytest.raises(Denied) as refused:
        _ = access_of(acting).session_id
    assert refused.value.code == "not_while_impersonating"


def test_a_key_has_no_session() -> None:
    key = HeldKey(new_id("apikey"), new_id("tenant"), frozenset({"event.read"}), "digest")
    with pytest.raises(Denied) as refused:
        _ = access_of(Caller(PERSON, None, None, "api_key", math.inf, key)).session_id
    assert refused.value.code == "not_for_api_keys"
