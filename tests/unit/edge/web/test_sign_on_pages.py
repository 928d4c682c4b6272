"""The page of a tenant's sign-on, without JavaScript."""

from __future__ import annotations

import pytest

from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.sample_backend import TENANT, sample_services
from tests.unit.edge.web.sample_sign_on import CLAIMED, GONE, PROVEN, SampleSignOn
from tests.unit.edge.web.test_forms import fill, problem_at

PAGE = f"/account/tenants/{TENANT}/sign-on"


def test_a_domain_is_claimed_checked_and_released(browse: Browse) -> None:
    sign_on = SampleSignOn()
    client = browse("ada", sample_services(sign_on=sign_on))
    page = client.get(PAGE).text
    assert CLAIMED.record in page
    assert CLAIMED.value in page
    assert "The record that proves it is gone since" in page
    assert GONE.value in page
    assert PROVEN.value not in page, "what is proven needs no record any more"
    wrong = fill(client, PAGE, f"{PAGE}/domains", domain="nonsense")
    assert problem_at(wrong.text, "domain") == "Enter a domain such as example.com."
    assert fill(client, PAGE, f"{PAGE}/domains", domain="acme.org").headers["location"] == PAGE
    missing = fill(client, PAGE, f"{PAGE}/domains/check", domain=CLAIMED.domain)
    assert (missing.status_code, "The record is not there yet." in missing.text) == (422, True)
    assert fill(client, PAGE, f"{PAGE}/domains/check", domain=PROVEN.domain).headers["location"] == PAGE
    assert fill(client, PAGE, f"{PAGE}/domains/release", domain=PROVEN.domain).headers["location"] == PAGE
    assert sign_on.changes == [("claim", "acme.org"), ("release", PROVEN.domain)]


def test_a_provider_is_taken_and_its_secret_never_shown(browse: Browse) -> None:
    sign_on = SampleSignOn(configured=False)
    client = browse("ada", sample_services(sign_on=sign_on))
    values = {"issuer": "nonsense", "client_id": "c", "client_secret": "hush-hush", "default_role": "viewer"}
    wrong = fill(client, PAGE, PAGE, **values)
    assert problem_at(wrong.text, "issuer") == "The identity provider does not answer."
    assert "hush-hush" not in wrong.text
    values["issuer"] = "https://id.acme.example"
    right = fill(client, PAGE, PAGE, **values, enforced="yes", api_key_days="30")
    assert right.headers["location"] == PAGE
    assert sign_on.changes == [("https://id.acme.example", "c", "hush-hush", "viewer", True, "30")]


def test_sign_on_ends(browse: Browse) -> None:
    sign_on = SampleSignOn()
    client = browse("ada", sample_services(sign_on=sign_on))
    assert fill(client, PAGE, f"{PAGE}/remove").headers["location"] == PAGE
    assert sign_on.changes == [("remove",)]


@pytest.mark.parametrize("action", ["", "/remove", "/domains", "/domains/check", "/domains/release"])
def test_each_change_asks_for_a_fresh_sign_in(browse: Browse, action: str) -> None:
    client = browse("ada", sample_services(sign_on=SampleSignOn(fresh=False)))
    asked = fill(client, PAGE, f"{PAGE}{action}", domain=PROVEN.domain)
    assert asked.headers["location"] == f"/account/sign-in/again?next={PAGE}"
