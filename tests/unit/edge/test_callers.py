"""Whoever calls has the rights, the quota and the name of what was shown, and no more."""

from __future__ import annotations

import math

from prog_contracts.actors import actor_of_impersonation, actor_of_key
from prog_contracts.ids import new_id
from prog_contracts.permissions import IMPERSONATED, NOT_WHILE_IMPERSONATING
from prog_edge.callers import Caller
from prog_edge.keyring import HeldKey

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
