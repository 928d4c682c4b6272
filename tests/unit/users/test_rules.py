"""Decisions of the users domain."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.errors import Invalid
from prog_contracts.users import PlatformRole, SecondFactor, SignInMethod
from prog_workers.users import rules

NOW = datetime(2027, 1, 1, tzinfo=UTC)
TOKEN = rules.PresentedToken(
    generation=3,
    replaced_at=None,
    current_generation=3,
    idle_until=NOW + timedelta(days=14),
    expires_at=NOW + timedelta(days=90),
    ended=False,
    status="active",
)


@given(st.text(min_size=8, max_size=1024).filter(lambda text: len(set(text)) > 1))
def test_any_characters_make_a_password(password: str) -> None:
    assert not rules.password_problems(password, "somebody.else.entirely@example.com")


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("", "too_short"),
        ("seven77", "too_short"),
        ("x" * 1025, "too_long"),
        ("ada@example.com", "guessable"),
        (" ADA@example.com ", "guessable"),
        ("aaaaaaaaaaaa", "guessable"),
    ],
)
def test_what_makes_no_password(password: str, code: str) -> None:
    assert [problem.code for problem in rules.password_problems(password, "ada@example.com")] == [code]


def test_a_password_is_neither_cut_off_nor_trimmed() -> None:
    password = "  " + "p4ssw0rd " * 100
    assert rules.checked_sign_up("a@example.com", "Ada", password).password == password


def test_a_sign_up_without_an_organisation_names_none() -> None:
    assert rules.checked_sign_up("a@example.com", "Ada", "correct horse", "   ").tenant_name is None
    with pytest.raises(Invalid) as refused:
        rules.checked_sign_up("a@example.com", "Ada", "correct horse", "x" * 81)
    assert [problem.field for problem in refused.value.fields] == ["tenant_name"]


@given(known=st.booleans(), right=st.booleans(), active=st.booleans(), verified=st.booleans())
def test_only_one_combination_signs_in(known: bool, right: bool, active: bool, verified: bool) -> None:
    failure = rules.sign_in_failure(
        known=known, right=right, status="active" if active else "disabled", verified=verified
    )
    assert (failure is None) == (known and right and active and verified)
    assert (failure == "unverified") == (known and right and active and not verified)


def test_the_current_token_rotates() -> None:
    assert rules.refresh_decision(TOKEN, NOW) == "rotate"


@given(age=st.integers(1, 30), seconds=st.integers(0, 10_000))
def test_a_replaced_token_is_good_for_ten_seconds_and_never_later(age: int, seconds: int) -> None:
    token = replace(TOKEN, current_generation=TOKEN.generation + age, replaced_at=NOW)
    decision = rules.refresh_decision(token, NOW + timedelta(seconds=seconds))
    assert decision == ("repeat" if seconds <= 10 and age <= 3 else "reused")


@given(
    generation=st.integers(0, 50),
    current=st.integers(0, 50),
    replaced=st.integers(-100, 100) | st.none(),
    idle=st.integers(-100, 100),
    end=st.integers(-100, 100),
    ended=st.booleans(),
    active=st.booleans(),
)
def test_tokens_come_only_from_a_session_that_lives(
    generation: int, current: int, replaced: int | None, idle: int, end: int, ended: bool, active: bool
) -> None:
    def at(seconds: int) -> datetime:
        return NOW + timedelta(seconds=seconds)

    token = rules.PresentedToken(
        generation=generation,
        replaced_at=None if replaced is None else at(replaced),
        current_generation=current,
        idle_until=at(idle),
        expires_at=at(end),
        ended=ended,
        status="active" if active else "disabled",
    )
    decision = rules.refresh_decision(token, NOW)
    if decision in ("rotate", "repeat"):
        assert not ended
        assert active
        assert min(idle, end) > 0
    if decision == "rotate":
        assert generation == current


@given(st.integers(0, 200))
def test_a_session_is_never_extended_beyond_its_end(days: int) -> None:
    opened = rules.session_times(NOW)
    later = NOW + timedelta(days=days)
    refreshed = rules.session_times(later, opened.expires_at)
    assert refreshed.expires_at == opened.expires_at
    assert refreshed.idle_until <= opened.expires_at


def test_claims_name_the_role_only_where_there_is_one() -> None:
    def claims(role: PlatformRole | None) -> dict[str, object]:
        return rules.access_claims(
            issuer="https://prog.example",
            user_id="u",
            session_id="s",
            token_id="t",
            platform_role=role,
            proven=rules.Authentication(NOW, "password"),
            now=NOW,
        )

    assert "platform_role" not in claims(None)
    assert claims("support")["platform_role"] == "support"


@pytest.mark.parametrize(
    ("method", "second_factor", "amr"),
    [
        ("password", None, ["pwd"]),
        ("magic_link", None, ["email"]),
        ("password", "totp", ["pwd", "otp", "mfa"]),
        ("password", "recovery_code", ["pwd", "otp", "mfa"]),
        ("magic_link", "totp", ["email", "otp", "mfa"]),
    ],
)
def test_how_a_person_was_authenticated_is_told_in_the_words_of_rfc_8176(
    method: SignInMethod, second_factor: SecondFactor | None, amr: list[str]
) -> None:
    assert rules.amr(method, second_factor) == amr


@pytest.mark.parametrize("has_second_factor", [False, True])
@pytest.mark.parametrize("second_factor", [None, "totp", "recovery_code"])
def test_a_session_is_fresh_for_ten_minutes_and_with_all_that_its_person_has(
    has_second_factor: bool, second_factor: SecondFactor | None
) -> None:
    proven = rules.Authentication(NOW, "password", second_factor)
    complete = second_factor is not None or not has_second_factor
    for seconds, recent in ((0, True), (599, True), (600, False)):
        fresh = rules.is_fresh(proven, NOW + timedelta(seconds=seconds), has_second_factor=has_second_factor)
        assert fresh is (complete and recent)


@pytest.mark.parametrize(
    ("seconds", "wrong_codes", "good"), [(0, 0, True), (299, 4, True), (300, 0, False), (0, 5, False), (0, 9, False)]
)
def test_a_sign_in_waits_for_a_while_and_for_some_wrong_codes(seconds: int, wrong_codes: int, good: bool) -> None:
    expires_at = NOW + rules.PENDING_SIGN_IN_LIFETIME
    assert rules.pending_sign_in_is_good(expires_at, wrong_codes, NOW + timedelta(seconds=seconds)) is good


def test_a_reason_is_one_line_and_says_something() -> None:
    assert rules.checked_reason("  lost\nthe phone ") == "lost the phone"
    assert rules.checked_reason(" \n") is None
    assert rules.checked_reason("x" * 501) is None


@given(st.integers(0, 1000))
def test_mails_keep_their_distance(seconds: int) -> None:
    assert rules.may_mail_again(NOW, NOW + timedelta(seconds=seconds)) == (seconds >= 60)
    assert rules.may_mail_again(None, NOW)
