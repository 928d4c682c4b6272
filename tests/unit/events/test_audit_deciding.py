"""Every event type has a decision: it becomes an entry of the audit trail, or something says why not."""

from __future__ import annotations

import pytest

import prog_contracts.catalogue  # noqa: F401 - fills the registry
from prog_contracts.actors import actor_of_impersonation, actor_of_key
from prog_contracts.ids import new_id
from prog_contracts.messages import Event, all_messages
from prog_contracts.topics import DOMAINS
from prog_contracts.users import LinkRequested, UserAuthenticated
from prog_workers.events.audit import deciding

EVENTS = sorted({message.TYPE for message in all_messages() if issubclass(message, Event)})
AUDITED_DOMAINS = {"users", "tenants", "payments", "events"}


@pytest.mark.parametrize("type_name", EVENTS)
def test_every_event_is_recorded_or_left_out_for_a_reason(type_name: str) -> None:
    reason = deciding.why_left_out(type_name)
    if type_name.split(".")[1] in AUDITED_DOMAINS and type_name not in deciding.LEFT_OUT_TYPES:
        assert reason is None
        assert deciding.outcome_of(type_name) in ("success", "failure", "denial")
        assert deciding.action_of(type_name) == type_name.removeprefix("prognetwork.")
    else:
        assert reason is not None
        assert len(reason) > 20


def test_a_domain_is_either_recorded_or_left_out() -> None:
    assert set(deciding.LEFT_OUT_DOMAINS) | AUDITED_DOMAINS == set(DOMAINS)
    assert not set(deciding.LEFT_OUT_DOMAINS) & AUDITED_DOMAINS


def test_what_is_left_out_exists() -> None:
    assert set(deciding.LEFT_OUT_TYPES) <= set(EVENTS)
    assert set(EVENTS) >= deciding.PROVE_THEIR_SUBJECT


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("users.user_authenticated", "success"), ("users.authentication_failed", "failure"),
        ("users.link_refused", "failure"), ("users.revocation_denied", "denial"),
        ("payments.payment_failed", "failure"),
        ("users.something_new_enabled", "success"), ("users.something_new_denied", "denial"),
    ],
)  # fmt: skip
def test_the_outcome_follows_from_the_name(name: str, outcome: str) -> None:
    assert deciding.outcome_of(f"prognetwork.{name}") == outcome


def test_a_new_event_of_a_recorded_domain_is_recorded_without_a_line_here() -> None:
    assert deciding.why_left_out("prognetwork.users.totp_enabled") is None
    assert deciding.why_left_out("com.acme.order.placed") is not None


@pytest.mark.parametrize(
    ("actor", "kind"),
    [
        (None, "nobody"), (new_id("user"), "person"), (actor_of_key(new_id("user"), new_id("apikey")), "api_key"),
        ("prog-scheduler", "system"), (new_id("robot"), "system"), ("", "system"),
    ],
    ids=["nobody", "person", "key", "scheduler", "unknown kind", "empty"],  # two processes make two ids
)  # fmt: skip
def test_an_actor_s_kind_follows_from_its_id(actor: str | None, kind: str) -> None:
    assert deciding.kind_of(actor) == kind


def test_only_who_has_proved_to_be_somebody_counts_as_them() -> None:
    ada, body = new_id("user"), {"user_id": new_id("user")}
    assert deciding.actor_of(None, UserAuthenticated.TYPE, {"user_id": ada}) == ada
    assert deciding.actor_of(None, LinkRequested.TYPE, body) is None, "anybody can ask for a link to somebody"
    assert deciding.actor_of(ada, LinkRequested.TYPE, body) == ada


@pytest.mark.parametrize("value", ["ada@example.com", "d" * 64, "", None, 7, "user_1", "user_" + "z" * 26])
def test_what_is_no_id_of_ours_is_not_kept_as_a_subject(value: object) -> None:
    assert deciding.identity(value) is None


@pytest.mark.parametrize("value", ["Ada Lovelace", "x" * 65, "", None, 7, "a-b", "=cmd"])
def test_what_is_no_code_is_not_kept_as_one(value: object) -> None:
    assert deciding.slug(value) is None


def test_an_address_is_the_actor_s_or_the_maker_s_of_a_key_or_the_subject_s() -> None:
    ada, bob, key = new_id("user"), new_id("user"), new_id("apikey")
    assert deciding.person_of(ada, bob) == ada
    assert deciding.person_of(actor_of_key(ada, key), bob) == ada
    assert deciding.person_of(None, bob) == bob
    assert deciding.person_of("prog-scheduler", new_id("tenant")) is None


def test_who_acts_in_somebody_s_name_is_a_kind_of_its_own_and_its_address_is_theirs() -> None:
    ada, operator = new_id("user"), new_id("user")
    actor = actor_of_impersonation(ada, operator)
    assert deciding.kind_of(actor) == "impersonator"
    assert deciding.person_of(actor, ada) == operator
