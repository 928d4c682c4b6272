"""The pages about a tenant's API keys, without JavaScript."""

from __future__ import annotations

import pytest

from prog_contracts.errors import Conflict
from prog_contracts.permissions import SCOPES
from prog_edge.web.account.views import SCOPE_TEXTS
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import TENANT, sample_services
from tests.unit.edge.web.sample_keys import KEY, TEXT, SampleKeys
from tests.unit.edge.web.test_forms import fill, problem_at

PATH = f"/account/tenants/{TENANT}/keys"


def test_a_key_is_made_and_shown_in_the_answer_alone(browse: Browse) -> None:
    keys = SampleKeys()
    client = browse("ada", sample_services(api_keys=keys))
    boxes = {"scope:event.read": "yes", "scope:event.publish": "yes"}
    answer = fill(client, PATH, PATH, name="Import", lifetime="90", **boxes)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert TEXT in answer.text
    assert keys.done == [("make", ("Import", ("event.read", "event.publish"), 90))]
    assert TEXT not in client.get(PATH).text


def test_whoever_makes_a_key_reads_what_each_scope_lets_it_do(browse: Browse) -> None:
    assert set(SCOPE_TEXTS) == set(SCOPES)
    page = browse("ada").get(PATH).text
    assert f'{SCOPE_TEXTS["event.publish"]} <code class="mono faint">event.publish</code>' in page


def test_a_key_may_live_for_ever(browse: Browse) -> None:
    keys = SampleKeys()
    client = browse("ada", sample_services(api_keys=keys))
    answer = fill(client, PATH, PATH, name="Import", lifetime="0", **{"scope:event.read": "yes"})
    assert "Good until somebody revokes it." in answer.text
    assert keys.done == [("make", ("Import", ("event.read",), None))]


def test_a_refused_key_comes_back_with_what_was_chosen(browse: Browse) -> None:
    client = browse("ada")
    bare = fill(client, PATH, PATH, name="Import", lifetime="90")
    assert bare.status_code == 422
    assert "Choose what the key is for." in bare.text
    odd = fill(client, PATH, PATH, name="Import", lifetime="12", **{"scope:event.read": "yes"})
    assert problem_at(odd.text, "lifetime") == "Choose one of these."
    assert [name for name in SCOPES if f'name="scope:{name}" value="yes" checked' in odd.text] == ["event.read"]


def test_a_form_sent_twice_shows_no_key(browse: Browse) -> None:
    lost = Conflict("An earlier try made the key, and its text was lost on the way.", code="api_key_text_lost")
    client = browse("ada", sample_services(api_keys=SampleKeys(refusal=lost)))
    answer = fill(client, PATH, PATH, name="Import", lifetime="90", **{"scope:event.read": "yes"})
    assert answer.status_code == 422
    assert "its text was lost" in answer.text


def test_a_key_is_rolled_with_a_grace(browse: Browse) -> None:
    keys = SampleKeys()
    client = browse("ada", sample_services(api_keys=keys))
    answer = fill(client, f"{PATH}/{KEY}", f"{PATH}/{KEY}/roll", grace="24")
    assert TEXT in answer.text
    assert keys.done == [("roll", (KEY, 24))]
    odd = fill(client, f"{PATH}/{KEY}", f"{PATH}/{KEY}/roll", grace="12")
    assert problem_at(odd.text, "grace") == "Choose one of these."


def test_a_key_is_revoked_on_a_page_that_says_what_it_means(browse: Browse) -> None:
    keys = SampleKeys()
    client = browse("ada", sample_services(api_keys=keys))
    assert "never works again" in client.get(f"{PATH}/{KEY}").text
    assert fill(client, f"{PATH}/{KEY}", f"{PATH}/{KEY}/revoke").headers["location"] == PATH
    assert keys.done == [("revoke", KEY)]
    assert "The key Order import is revoked." in client.get(PATH).text


def test_what_is_over_or_rolled_has_no_buttons_for_it(browse: Browse) -> None:
    client = browse("ada")
    page = client.get(PATH).text
    links = [link.get("href") for link in read(page).all("a") if "Manage the key" in (link.get("aria-label") or "")]
    assert len(links) == 2
    rolled = client.get(str(links[1])).text
    assert "/roll" not in rolled
    assert "/revoke" in rolled


def test_the_form_offers_every_scope_once(browse: Browse) -> None:
    inputs = read(browse("ada").get(PATH).text).all("input")
    boxes = [field.get("name") for field in inputs if field.get("type") == "checkbox"]
    assert boxes == [f"scope:{scope}" for scope in SCOPES]


@pytest.mark.parametrize("page", [PATH, f"{PATH}/{KEY}"])
def test_who_may_not_manage_keys_sees_none(browse: Browse, page: str) -> None:
    answer = browse("ada", sample_services(api_keys=SampleKeys(manages=False))).get(page)
    assert answer.status_code == 403
    assert "Order import" not in answer.text


def test_an_unknown_key_is_no_page(browse: Browse) -> None:
    assert browse("ada").get(f"{PATH}/apikey_none").status_code == 404
