"""The text of an API key: what it tells, and that a misspelt one is refused by its form alone."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.credentials import (
    API_KEY_ALPHABET,
    API_KEY_SECRET_LENGTH,
    TOKEN_MAX_LENGTH,
    api_key,
    hint_of_api_key,
    tenant_of_api_key,
)
from prog_contracts.ids import new_id

TENANT = "tenant_01jd7z4c8nf3ktv9q2m6x0r5we"
SECRET = "q7Rk0bV2mXc9LtNw4hZs8aGdYe3fPu"
secrets = st.text(API_KEY_ALPHABET, min_size=API_KEY_SECRET_LENGTH, max_size=API_KEY_SECRET_LENGTH)


def test_a_key_reads_as_it_always_has() -> None:
    """Scanners and holders know this form: a change here would make every key in use worthless."""
    assert api_key("live", TENANT, SECRET) == f"prog_live_01jd7z4c8nf3ktv9q2m6x0r5we_{SECRET}0W1Uqe"


@given(secrets)
def test_a_key_names_its_tenant(secret: str) -> None:
    tenant_id = new_id("tenant")
    text = api_key("live", tenant_id, secret)
    assert tenant_of_api_key(text, "live") == tenant_id
    assert tenant_of_api_key(text, "test") is None, "a key of production is none elsewhere"
    assert hint_of_api_key(text) == secret[:6]
    assert re.fullmatch(r"[A-Za-z0-9_]+", text), "a double click selects all of it"
    assert len(text) <= TOKEN_MAX_LENGTH


@given(secrets, st.data())
def test_a_key_with_one_wrong_letter_is_none(secret: str, data: st.DataObject) -> None:
    text = api_key("test", TENANT, secret)
    place = data.draw(st.integers(0, len(text) - 1))
    others = sorted(set(string.ascii_letters + string.digits + "_-") - {text[place]})
    letter = data.draw(st.sampled_from(others))
    assert tenant_of_api_key(text[:place] + letter + text[place + 1 :], "test") is None


@given(secrets, st.data())
def test_a_key_with_two_letters_swapped_is_none(secret: str, data: st.DataObject) -> None:
    text = api_key("test", TENANT, secret)
    place = data.draw(st.integers(0, len(text) - 2).filter(lambda it: text[it] != text[it + 1]))
    assert tenant_of_api_key(text[:place] + text[place + 1] + text[place] + text[place + 2 :], "test") is None


@given(st.text(max_size=300))
def test_any_text_is_read_without_harm(text: str) -> None:
    assert tenant_of_api_key(text, "live") is None
    assert tenant_of_api_key(f"prog_live_{text}", "live") is None


@pytest.mark.parametrize("secret", ["", SECRET[:-1], SECRET + "a", SECRET[:-1] + "-", SECRET[:-1] + "é"])
def test_a_key_is_made_of_a_whole_secret(secret: str) -> None:
    with pytest.raises(ValueError, match="30 characters"):
        api_key("live", TENANT, secret)


def test_check_14_no_other_token_is_a_key() -> None:
    text = api_key("live", TENANT, SECRET)
    for kind in ("invite", "refresh", "verify", "reset", "magic"):
        assert tenant_of_api_key(text.replace("prog_live_", f"prog_{kind}_"), "live") is None
