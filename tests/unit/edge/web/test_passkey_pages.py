"""The pages of passkeys, as they are sent: what the browser answers is filled in by hand here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from prog_edge.web.ports import WebServices
from tests.unit.edge.web.conftest import Browse, Browser
from tests.unit.edge.web.markup import Element, read
from tests.unit.edge.web.sample_backend import SampleSessions, sample_services
from tests.unit.edge.web.sample_security import (
    BY_PASSKEY,
    CODES,
    FACTOR,
    MADE,
    PASSKEYS,
    SIGNED,
    TO_MAKE,
    TO_SIGN,
    SampleSecurity,
)
from tests.unit.edge.web.test_forms import fill, problem_at

SECURITY = "/account/security"
PASSKEY = f"{SECURITY}/passkeys/{PASSKEYS[0].id}"
SECOND_STEP = "/account/sign-in/second-step"
AGAIN = "/account/sign-in/again"


def keyed(*, factor: Any = BY_PASSKEY, fresh: bool = True) -> WebServices:
    services = sample_services(security=SampleSecurity(factor, fresh, list(PASSKEYS)))
    assert isinstance(services.sessions, SampleSessions)
    services.sessions.has_passkey = True
    return services


def ceremony(client: Browser, page: str) -> Element:
    """The one form on a page that a passkey fills in."""
    [form] = [item for item in read(client.get(page).text).all("form") if item.get("data-passkey")]
    return form


def test_sign_in_offers_a_passkey_to_whoever_comes_and_hides_it_without_a_script(browse: Browse) -> None:
    client = browse()
    form = ceremony(client, "/account/sign-in?next=/account/security")
    assert json.loads(form.get("data-passkey-options") or "")["rpId"] == "localhost"
    assert "hidden" in form.attributes
    assert "data-passkey-autofill" in form.attributes
    email = read(client.get("/account/sign-in").text).all("input")
    assert "username webauthn" in [item.get("autocomplete") for item in email]
    done = fill(client, "/account/sign-in?next=/account/security", "/account/sign-in/passkey", credential=SIGNED)
    assert done.headers["location"] == SECURITY
    assert client.cookies["prog_session"] == "ada"


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"credential": "{}"}, "This passkey is not good here."),
        ({"credential": SIGNED, "passkey_token": "old"}, "That took too long. Try again."),
        ({"credential": "x" * 40_000}, "This may have 32768 characters at most."),
    ],
)
def test_a_passkey_that_is_not_good_is_told_and_asked_for_again(
    browse: Browse, sent: dict[str, str], told: str
) -> None:
    client = browse()
    answer = fill(client, "/account/sign-in", "/account/sign-in/passkey", **sent)
    assert answer.status_code == 422
    assert told in answer.text
    assert len([item for item in read(answer.text).all("form") if item.get("data-passkey")]) == 1
    assert "prog_session" not in client.cookies
    assert client.get("/account/sign-in/passkey").headers["location"] == "/account/sign-in", "a reload"


def test_a_passkey_is_the_first_choice_for_the_second_step(browse: Browse) -> None:
    client = browse()
    client.cookies.set("prog_second_step", "waiting-keyed", domain="127.0.0.1")
    page = read(client.get(f"{SECOND_STEP}?next=/account").text)
    assert [item.text for item in page.all("a") if "use=" in (item.get("href") or "")] == [
        "Use the authenticator app",
        "Use a recovery code",
    ]
    refused = fill(client, f"{SECOND_STEP}?next=/account", SECOND_STEP, credential="{}")
    assert "This passkey is not good here." in refused.text
    done = fill(client, f"{SECOND_STEP}?next=/account", SECOND_STEP, credential=SIGNED)
    assert done.headers["location"] == "/account"
    client.cookies.set("prog_second_step", "waiting-keyed", domain="127.0.0.1")
    done = fill(client, f"{SECOND_STEP}?use=totp", SECOND_STEP, code="123456")
    assert done.headers["location"] == "/account"


def test_somebody_without_a_passkey_cannot_choose_one(browse: Browse) -> None:
    client = browse()
    client.cookies.set("prog_second_step", "waiting", domain="127.0.0.1")
    assert "data-passkey" not in client.get(f"{SECOND_STEP}?use=passkey").text


def test_a_passkey_steps_up(browse: Browse) -> None:
    client = browse("ada", keyed())
    form = ceremony(client, f"{AGAIN}?next={SECURITY}")
    assert [item.get("value") for item in form.all("input") if item.get("name") == "passkey_token"] == [TO_SIGN.token]
    refused = fill(client, f"{AGAIN}?next={SECURITY}", AGAIN, credential="{}")
    assert refused.status_code == 422
    assert fill(client, f"{AGAIN}?next={SECURITY}", AGAIN, credential=SIGNED).headers["location"] == SECURITY
    codes = read(client.get(f"{AGAIN}?use=recovery_code").text)
    assert "code" in [item.get("name") for item in codes.all("input")]


def test_a_first_passkey_comes_with_recovery_codes(browse: Browse) -> None:
    client = browse("ada", sample_services(security=SampleSecurity()))
    assert "Add a passkey" in client.get(SECURITY).text
    form = ceremony(client, f"{SECURITY}/passkeys/new")
    assert form.get("data-passkey") == "create"
    assert form.get("data-passkey-options") == TO_MAKE.options
    done = fill(client, f"{SECURITY}/passkeys/new", f"{SECURITY}/passkeys", name="Phone", credential=MADE)
    assert [item.text for item in read(done.text).all("code")] == list(CODES)
    assert "After your password a passkey is asked for." in client.get(SECURITY).text


def test_another_passkey_leaves_the_codes_as_they_are(browse: Browse) -> None:
    client = browse("ada", keyed(factor=FACTOR))
    done = fill(client, f"{SECURITY}/passkeys/new", f"{SECURITY}/passkeys", name="Laptop", credential=MADE)
    assert done.headers["location"] == SECURITY
    assert "Manage the passkey Laptop" in client.get(SECURITY).text


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"name": "Phone", "credential": MADE, "passkey_token": "old"}, "That took too long. Try again."),
        ({"name": "Phone", "credential": "{}"}, "This passkey cannot be used."),
        ({"name": "Phone", "credential": "x" * 40_000}, "This may have 32768 characters at most."),
    ],
)
def test_a_passkey_that_is_not_kept_is_told_and_can_be_made_again(
    browse: Browse, sent: dict[str, str], told: str
) -> None:
    client = browse("ada", keyed())
    answer = fill(client, f"{SECURITY}/passkeys/new", f"{SECURITY}/passkeys", **sent)
    assert answer.status_code == 422
    assert told in answer.text
    assert 'value="Phone"' in answer.text
    assert "x" * 100 not in answer.text
    nameless = fill(client, f"{SECURITY}/passkeys/new", f"{SECURITY}/passkeys", name="", credential=MADE)
    assert problem_at(nameless.text, "name") == "Enter a name."


def test_a_passkey_is_named_and_removed(browse: Browse) -> None:
    services = keyed()
    client = browse("ada", services)
    nameless = fill(client, PASSKEY, f"{PASSKEY}/name", name="")
    assert problem_at(nameless.text, "name") == "Enter a name."
    assert fill(client, PASSKEY, f"{PASSKEY}/name", name="Old phone").headers["location"] == SECURITY
    assert "Manage the passkey Old phone" in client.get(SECURITY).text
    assert "the last of your second factors" not in client.get(PASSKEY).text
    assert fill(client, PASSKEY, f"{PASSKEY}/remove").headers["location"] == SECURITY
    assert "Old phone" not in client.get(SECURITY).text
    left = f"{SECURITY}/passkeys/{PASSKEYS[1].id}"
    assert "the last of your second factors" in client.get(left).text
    assert client.get(PASSKEY).status_code == 404
    assert client.get(f"{SECURITY}/passkeys/x").status_code == 404


def test_what_changes_passkeys_asks_for_a_fresh_sign_in(browse: Browse) -> None:
    client = browse("ada", keyed(fresh=False))
    assert client.get(f"{SECURITY}/passkeys/new").headers["location"] == f"{AGAIN}?next={SECURITY}/passkeys/new"
    assert fill(client, PASSKEY, f"{PASSKEY}/remove").headers["location"] == f"{AGAIN}?next={PASSKEY}"
