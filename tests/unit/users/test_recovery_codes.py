"""Recovery codes: ten of them, and every way in which one is typed."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_workers.users import passwords, recovery_codes


def test_a_set_has_ten_codes_that_are_read_as_they_are_shown() -> None:
    codes = recovery_codes.new_set()
    assert len(set(codes)) == 10
    for code in codes:
        assert re.fullmatch(r"[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){2}", code)
        assert recovery_codes.kept_form(code) == code.replace("-", "")


def test_no_two_sets_share_a_code_or_a_salt() -> None:
    assert not set(recovery_codes.new_set()) & set(recovery_codes.new_set())
    assert recovery_codes.new_salt() != recovery_codes.new_salt()


@pytest.mark.parametrize(
    "typed", ["4x7k-q2mp-9dch", "4X7K-Q2MP-9DCH", "4x7kq2mp9dch", " 4x7k q2mp 9dch\n", "4x7k\u00a0q2mp\t9dch"]
)
def test_case_spaces_and_hyphens_make_no_difference(typed: str) -> None:
    assert recovery_codes.kept_form(typed) == "4x7kq2mp9dch"


def test_letters_that_look_like_digits_are_those() -> None:
    assert recovery_codes.kept_form("OIL0-1111-oil2") == "011011110112"


@pytest.mark.parametrize("typed", ["", "123456", "4x7k-q2mp-9dc", "4x7k-q2mp-9dch4", "4x7k-q2mp-9dcu", "é" * 12])
def test_what_is_no_code_has_no_form(typed: str) -> None:
    assert recovery_codes.kept_form(typed) is None


@given(st.text(max_size=60))
def test_a_form_is_always_twelve_letters_of_the_alphabet(typed: str) -> None:
    form = recovery_codes.kept_form(typed)
    assert form is None or re.fullmatch(r"[0-9a-hjkmnp-tv-z]{12}", form)


async def test_check_08_a_hash_follows_from_code_and_salt_alone() -> None:
    salt, other = recovery_codes.new_salt(), recovery_codes.new_salt()
    kept = await passwords.hash_code("4x7kq2mp9dch", salt)
    assert re.fullmatch(r"[0-9a-f]{64}", kept)
    assert kept == await passwords.hash_code("4x7kq2mp9dch", salt)
    assert kept != await passwords.hash_code("4x7kq2mp9dch", other)
    assert kept != await passwords.hash_code("4x7kq2mp9dcj", salt)
