"""Codes of authenticator apps: RFC 6238, its window, and steps that were spent."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_kit.clock import FixedClock
from prog_workers.users import totp

RFC_SECRET = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""`12345678901234567890` in base32: the secret of RFC 6238, appendix B."""
CLOCK = FixedClock(datetime(2027, 1, 1, 12, 0, 10, tzinfo=UTC))
NOW = CLOCK.now()
STEP = totp.step_at(NOW)


def code_of(step: int) -> str:
    return pyotp.TOTP(RFC_SECRET).generate_otp(step)


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_the_vectors_of_rfc_6238(seconds: int, code: str) -> None:
    """Appendix B, SHA-1; the last six of its eight digits."""
    now = datetime.fromtimestamp(seconds, UTC)
    assert totp.match(RFC_SECRET, code, now) == totp.Match("good", seconds // 30)


@pytest.mark.parametrize(
    ("steps", "verdict"), [(-2, "wrong_code"), (-1, "good"), (0, "good"), (1, "good"), (2, "wrong_code")]
)
def test_check_07_the_window_is_one_step_to_either_side(steps: int, verdict: str) -> None:
    assert totp.match(RFC_SECRET, code_of(STEP + steps), NOW).verdict == verdict


@given(st.integers(-1, 1), st.integers(-3, 3))
def test_check_07_no_step_is_good_after_itself_or_a_later_one(steps: int, last: int) -> None:
    found = totp.match(RFC_SECRET, code_of(STEP + steps), NOW, last_step=STEP + last)
    assert found == (totp.Match("good", STEP + steps) if steps > last else totp.Match("used_before"))


def test_a_code_changes_with_the_clock() -> None:
    clock = FixedClock(NOW)
    code = code_of(totp.step_at(clock.now()))
    clock.at += timedelta(seconds=90)
    assert totp.match(RFC_SECRET, code, clock.now()).verdict == "wrong_code"


@pytest.mark.parametrize("between", [" ", "-", "\u00a0", "\n"])
def test_spaces_make_no_difference(between: str) -> None:
    code = code_of(STEP)
    assert totp.match(RFC_SECRET, f" {code[:3]}{between}{code[3:]} ", NOW).verdict == "good"


def test_the_digits_of_another_script_are_digits() -> None:
    arabic = "".join(chr(0x0660 + int(digit)) for digit in code_of(STEP))
    assert totp.match(RFC_SECRET, arabic, NOW).verdict == "good"


@pytest.mark.parametrize(
    "typed", ["", "1", "12345", "1234567", "abcdef", "12345a", "²²²²²²", "1e5", "-12345", "\0" * 6]
)
def test_what_is_no_code_is_wrong(typed: str) -> None:
    assert totp.match(RFC_SECRET, typed, NOW) == totp.Match("wrong_code")


@given(st.text(max_size=40))
def test_any_text_has_a_verdict(typed: str) -> None:
    assert totp.match(RFC_SECRET, typed, NOW).verdict in ("good", "wrong_code")


def test_secrets_are_long_and_no_two_are_the_same() -> None:
    made = {totp.new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(secret) for secret in made} == {32}


def test_an_app_reads_who_where_and_the_secret_from_the_address() -> None:
    parts = urlsplit(totp.otpauth_uri(RFC_SECRET, "ada+x@example.com"))
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert unquote(parts.path) == "/ProgNetwork:ada+x@example.com"
    assert parse_qs(parts.query) == {"secret": [RFC_SECRET], "issuer": ["ProgNetwork"]}
