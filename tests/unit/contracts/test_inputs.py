"""Addresses, names, tokens and permissions: rules that more than one room applies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts import credentials
from prog_contracts.errors import Invalid
from prog_contracts.ids import new_id
from prog_contracts.inputs import clean_name, normalize_email
from prog_contracts.permissions import ACTIONS, PERMISSIONS, ROLES, allowed, may_grant
from prog_contracts.tenants import TenantRole

SECRET = "s3cret-" + "x" * 36


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada.Lovelace+x@Example.COM ", "ada.lovelace+x@example.com"),
        ("o'brien@mail.example.co.uk", "o'brien@mail.example.co.uk"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
    ],
)
def test_an_address_has_one_spelling(written: str, kept: str) -> None:
    assert normalize_email(written) == kept
    assert normalize_email(kept) == kept


@pytest.mark.parametrize(
    "written",
    [
        "ADA@EXAMPLE.COM",
        "ada@\uff45xample.com",  # a wide e
        "ada@example\u3002com",  # an ideographic full stop
        "ada@exam\u00adple.com",  # a hyphen that shows nothing
        "ada@example.com\u200b",  # a space without width
    ],
)
def test_addresses_that_mean_one_mailbox_are_one_account(written: str) -> None:
    assert normalize_email(written) == "ada@example.com"


def test_an_address_that_only_looks_like_another_is_kept_in_letters_that_show_it() -> None:
    assert normalize_email("ada@ex\u0430mple.com") == "ada@xn--exmple-4nf.com"
    for look_alike in ("\u0430da@example.com", "ad\u0251@example.com", "\uff41da@example.com", "ada\u200b@example.com"):
        with pytest.raises(Invalid):
            normalize_email(look_alike)


@pytest.mark.parametrize(
    "written",
    [
        "", "ada", "@example.com", "ada@", "ada@example", "a b@example.com", "ada@exa mple.com", "ada@-example.com",
        "ada..b@example.com", ".ada@example.com", "ada@example..com", "ada@1.2.3.4", "a" * 65 + "@example.com",
        "a@" + "b" * 250 + ".com", "ada@example.com\nbcc: x@y.zz", "ada\x00@example.com", "<ada@example.com>",
        "ada@example.com,bob@example.com", "jürgen@example.com", "ada@[127.0.0.1]", "a@b@example.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(Invalid) as refused:
        normalize_email(written, "owner_email")
    assert [(problem.field, problem.code) for problem in refused.value.fields] == [("owner_email", "invalid_email")]


@given(st.text(max_size=300))
def test_whatever_is_written_is_an_address_of_one_spelling_or_refused(written: str) -> None:
    try:
        kept = normalize_email(written)
    except Invalid:
        return
    assert kept.isascii()
    assert len(kept) <= 254
    assert normalize_email(kept) == kept


@given(st.text(max_size=150))
def test_a_name_is_kept_as_it_is_seen_or_refused(written: str) -> None:
    try:
        name = clean_name(written)
    except Invalid:
        return
    assert 0 < len(name) <= 100
    assert name == name.strip()
    assert clean_name(name) == name


@pytest.mark.parametrize(
    "written",
    [
        "", "   ", "x" * 101, "a\x00b", "\u202egnp.exe", "\u200f", "\u200b", "Ada\u200b", "Ada\ufeff", "Ad\u00ada",
        "A\u2060da", "\u3164", "\u2800\u2800", "\u115f", "Ada\U000e0041", "\u200d", "\u0301", "A\u2066da\u2069",
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_no_name(written: str) -> None:
    with pytest.raises(Invalid):
        clean_name(written)


def test_names_of_the_whole_world_are_names() -> None:
    for name in (
        "Ñuñez",
        "李小龍",
        "O'Brien-Smith 3rd",
        "👩‍💻 Ada",
        "Zoë",
        "می\u200cخواهم",
        "क्\u200dष",
        "नमस्ते",
        "42",
        "✨",
    ):
        assert clean_name(name) == name


def test_a_token_names_what_it_is_about_and_passes_for_nothing_else() -> None:
    tenant_id, session_id = new_id("tenant"), new_id("session")
    invitation = credentials.invitation_token(tenant_id, SECRET)
    refresh = credentials.refresh_token(session_id, SECRET)
    verification = credentials.verification_token(SECRET)
    assert credentials.tenant_of_invitation(invitation) == tenant_id
    assert credentials.session_of_refresh_token(refresh) == session_id
    assert credentials.is_verification_token(verification)
    for other in (refresh, verification, invitation + "!", "", invitation.upper(), "x" + invitation):
        assert credentials.tenant_of_invitation(other) is None
    for other in (invitation, verification, SECRET, refresh + "\n"):
        assert credentials.session_of_refresh_token(other) is None
    for other in (invitation, refresh, SECRET):
        assert not credentials.is_verification_token(other)
    assert all(len(token) <= credentials.TOKEN_MAX_LENGTH for token in (invitation, refresh, verification))


def test_a_token_is_made_for_an_id_of_the_right_kind_alone() -> None:
    with pytest.raises(ValueError, match="tenant"):
        credentials.invitation_token(new_id("user"), SECRET)


def test_owners_may_do_everything_and_strangers_nothing() -> None:
    assert all(allowed("owner", action) for action in ACTIONS)
    assert not any(allowed(None, action) for action in ACTIONS)
    assert all(allowed(role, "tenant.read") for role in ROLES)


@given(st.sampled_from([None, *ROLES]), st.sampled_from(ROLES))
def test_nobody_grants_a_right_they_lack(granter: TenantRole | None, granted: TenantRole) -> None:
    if may_grant(granter, granted):
        assert granter is not None
        assert all(allowed(granter, action) for action in PERMISSIONS[granted])
        assert allowed(granter, "member.invite")


def test_only_owners_delete_and_only_who_bills_pays() -> None:
    assert [role for role in ROLES if allowed(role, "tenant.delete")] == ["owner"]
    assert {role for role in ROLES if allowed(role, "billing.manage")} == {"owner", "admin", "billing"}
