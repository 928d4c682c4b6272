"""The page about a tenant's directory, without JavaScript."""

from __future__ import annotations

import pytest

from prog_contracts.errors import Denied
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import TENANT, sample_services
from tests.unit.edge.web.sample_directory import GROUP, SampleDirectory
from tests.unit.edge.web.sample_keys import TEXT, SampleKeys
from tests.unit.edge.web.test_forms import fill, problem_at

PATH = f"/account/tenants/{TENANT}/directory"


def test_a_key_is_made_and_shown_once_with_the_address_beside_it(browse: Browse) -> None:
    keys = SampleKeys()
    client = browse("ada", sample_services(api_keys=keys))
    answer = fill(client, PATH, f"{PATH}/key")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert TEXT in answer.text
    assert "https://app.example.com/scim/v2" in answer.text
    assert keys.done == [("make", ("Directory (SCIM)", ("scim.manage",), 365))]
    assert TEXT not in client.get(PATH).text


def test_the_key_in_use_is_rolled_and_revoked_where_keys_are(browse: Browse) -> None:
    links = [link.get("href") or "" for link in read(browse("ada").get(PATH).text).all("a")]
    assert any(f"/account/tenants/{TENANT}/keys/apikey_" in link for link in links)


@pytest.mark.parametrize(("chosen", "role"), [("admin", "admin"), ("none", None)])
def test_a_group_is_given_a_role_or_none(browse: Browse, chosen: str, role: str | None) -> None:
    directory = SampleDirectory()
    client = browse("ada", sample_services(directories=directory))
    assert fill(client, PATH, f"{PATH}/groups/{GROUP}", role=chosen).headers["location"] == PATH
    assert directory.done == [("map", (GROUP, role))]
    assert "Engineering gives" in client.get(PATH).text


def test_a_group_is_given_no_role_that_is_not_offered(browse: Browse) -> None:
    directory = SampleDirectory()
    client = browse("ada", sample_services(directories=directory))
    refused = fill(client, PATH, f"{PATH}/groups/{GROUP}", role="owner")
    assert refused.status_code == 422
    assert "Choose one of these." in refused.text
    assert directory.done == []


def test_a_refused_mapping_says_why_beside_its_group(browse: Browse) -> None:
    directory = SampleDirectory(refusal=Denied("You cannot give a role with more rights than your own."))
    answer = fill(browse("ada", sample_services(directories=directory)), PATH, f"{PATH}/groups/{GROUP}", role="admin")
    assert answer.status_code == 422
    assert "more rights than your own" in answer.text


def test_the_role_of_those_without_a_group_is_chosen(browse: Browse) -> None:
    directory = SampleDirectory()
    client = browse("ada", sample_services(directories=directory))
    assert fill(client, PATH, f"{PATH}/default", role="viewer").headers["location"] == PATH
    assert directory.done == [("default", "viewer")]
    assert problem_at(fill(client, PATH, f"{PATH}/default", role="admin").text, "role") == "Choose one of these."


def test_a_directory_that_nobody_uses_says_what_comes(browse: Browse) -> None:
    page = browse("ada", sample_services(directories=SampleDirectory(empty=True))).get(PATH).text
    assert "Your provider has sent nobody yet." in page
    assert "They appear as soon as your provider pushes them" in page


def test_who_may_not_manage_the_directory_sees_nothing_of_it(browse: Browse) -> None:
    answer = browse("ada", sample_services(directories=SampleDirectory(manages=False))).get(PATH)
    assert answer.status_code == 403
    assert "Engineering" not in answer.text
