"""What roles and API keys may do: a key never more than its maker at the time, and never what is beyond all keys."""

from __future__ import annotations

import pytest

from prog_contracts.permissions import (
    ACTIONS,
    IMPERSONATED,
    NOT_FOR_KEYS,
    NOT_WHILE_IMPERSONATING,
    PERMISSIONS,
    ROLES,
    SCOPES,
    allowed,
    closed,
    concerns_billing,
    may_grant,
    may_manage,
    rights,
)
from prog_contracts.tenants import BillingChanged, TenantRole, TenantStatus


@pytest.mark.parametrize("role", ROLES)
def test_a_key_may_what_its_scopes_and_its_makers_role_both_allow(role: TenantRole) -> None:
    for scope in SCOPES:
        for action in ACTIONS:
            assert allowed(role, action, {scope}) is (action == scope and action in PERMISSIONS[role])
    assert rights(role, SCOPES) == PERMISSIONS[role] - NOT_FOR_KEYS
    assert rights(role, ()) == frozenset()
    assert rights(role) == PERMISSIONS[role]


def test_a_key_of_nobody_may_nothing() -> None:
    assert rights(None, SCOPES) == frozenset()


def test_no_key_makes_keys_or_ends_the_tenant() -> None:
    assert not {"api_key.manage", "tenant.delete", "sign_on.manage", "custom_domain.manage"} & set(SCOPES)
    for action in NOT_FOR_KEYS:
        assert allowed("owner", action)
        assert not allowed("owner", action, ACTIONS), "not even where it stands among the scopes of a row"


def test_check_22_a_key_gives_no_role_that_may_more_than_the_key() -> None:
    assert not may_grant("owner", "viewer", {"member.invite"})
    everything = [role for role in ROLES if may_grant("owner", role, SCOPES)]
    assert everything == ["billing", "member", "viewer"], "owners and admins can what no key can"
    reader = PERMISSIONS["viewer"] | {"member.invite"}
    assert [role for role in ROLES if may_grant("owner", role, reader)] == ["viewer"]
    assert not may_grant("member", "viewer", SCOPES), "its maker invites nobody"


@pytest.mark.parametrize("role", ROLES)
def test_in_a_member_s_name_nobody_may_more_than_the_member_nor_what_outlasts_it(role: TenantRole) -> None:
    assert rights(role, IMPERSONATED) == PERMISSIONS[role] - NOT_WHILE_IMPERSONATING
    assert not any(may_grant(role, other, IMPERSONATED) or may_manage(role, other, IMPERSONATED) for other in ROLES)


def test_every_right_is_for_impersonators_or_not_and_every_read_but_of_keys_is() -> None:
    assert set(IMPERSONATED) | NOT_WHILE_IMPERSONATING == set(ACTIONS)
    assert set(IMPERSONATED) == {
        "tenant.read", "tenant.update", "config.read", "config.update", "member.read", "billing.read", "clock.move",
        "event.read", "event.publish", "audit.read",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("type_name", "body", "concerns"),
    [
        ("prognetwork.payments.invoice_generated", {}, True),
        (BillingChanged.TYPE, None, True),
        ("prognetwork.email.email_sent", {"template": "receipt"}, True),
        ("prognetwork.email.email_sent", {"template": "verify_email"}, False),
        ("prognetwork.email.email_sent", None, False),
        ("com.acme.email_sent", {"template": "receipt"}, False),
        ("prognetwork.tenants.tenant_updated", {}, False),
    ],
)
def test_what_tells_how_a_tenant_pays_is_known_by_its_type_and_template(
    type_name: str, body: dict[str, str] | None, concerns: bool
) -> None:
    assert concerns_billing(type_name, body) is concerns


@pytest.mark.parametrize("status", ["suspended", "deleting", "deleted"])
def test_who_asks_too_much_of_a_closed_tenant_is_told_its_status(status: TenantStatus) -> None:
    refusal = closed(status)
    assert (refusal.kind, refusal.code) == ("conflict", "tenant_closed")
    assert {"suspended": "suspended", "deleting": "being deleted", "deleted": "was deleted"}[status] in refusal.message


@pytest.mark.parametrize(
    ("manager", "managed"),
    [
        ("owner", ROLES),
        ("admin", ("admin", "billing", "member", "viewer")),
        ("billing", ()),
        ("member", ()),
        (None, ()),
    ],
)
def test_people_are_managed_and_taken_in_by_whoever_can_do_all_that_they_can(
    manager: TenantRole | None, managed: tuple[TenantRole, ...]
) -> None:
    assert {role for role in ROLES if may_manage(manager, role)} == set(managed)
    assert {role for role in ROLES if may_grant(manager, role)} == set(managed)
