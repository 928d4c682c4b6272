"""Deleting one's account and keeping it after all, on the pages, without JavaScript."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from prog_edge.web.ports import OwnedAlone
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.sample_backend import ADA, TENANT, SampleSessions, sample_services
from tests.unit.edge.web.sample_security import SampleSecurity
from tests.unit.edge.web.test_forms import fill, problem_at

HERE = "/account/delete"


def test_an_account_is_deleted_by_typing_its_address(browse: Browse) -> None:
    security = SampleSecurity()
    client = browse("ada", sample_services(security=security))
    assert 'href="/account/data"' in client.get("/account/security").text
    assert f'href="{HERE}"' in client.get("/account/data").text
    wrong = fill(client, HERE, HERE, email="grace@example.com")
    assert (wrong.status_code, problem_at(wrong.text, "email")) == (
        422,
        "Type ada@example.com to delete this account.",
    )
    assert security.changed == []
    answer = fill(client, HERE, HERE, email=" Ada@Example.com ")
    assert answer.headers["location"] == "/account"
    assert security.changed == ["deleted"]
    assert "Your account is deleted on 10 Dec 2026. Until then you can keep it." in client.get("/account").text


def test_it_asks_for_a_fresh_sign_in_and_comes_back(browse: Browse) -> None:
    client = browse("ada", sample_services(security=SampleSecurity(fresh=False)))
    answer = fill(client, HERE, HERE, email=ADA.email)
    assert answer.headers["location"] == f"/account/sign-in/again?next={HERE}"


def test_who_is_needed_sees_where_and_gets_no_button(browse: Browse) -> None:
    security = SampleSecurity(needed=[OwnedAlone(TENANT, "Analytical Engines")])
    page = browse("ada", sample_services(security=security)).get(HERE).text
    assert f'href="/account/tenants/{TENANT}"' in page
    assert "Delete my account" not in page


def test_an_account_that_is_to_be_deleted_says_so_on_every_page_and_is_kept_by_a_button(browse: Browse) -> None:
    security = SampleSecurity()
    leaving = SampleSessions(viewers={"ada": replace(ADA, erase_at=datetime(2026, 12, 10, tzinfo=UTC))})
    client = browse("ada", replace(sample_services(security=security), sessions=leaving))
    for path in ("/account", "/account/security", f"/account/tenants/{TENANT}", HERE):
        assert "Your account is deleted on" in client.get(path).text, path
    answer = fill(client, "/account", f"{HERE}/restore")
    assert answer.headers["location"] == "/account"
    assert security.changed == ["restored"]
    assert "Your account is deleted on" not in browse("ada").get("/account").text


def test_data_are_downloaded_from_a_page_without_a_script(browse: Browse) -> None:
    client = browse("ada", sample_services(security=SampleSecurity()))
    answer = fill(client, "/account/data", "/account/data/export")
    assert (answer.status_code, answer.content) == (200, b"zip")
    again = fill(client, "/account/data", "/account/data/export")
    assert again.status_code == 422
    assert "just now" in again.text
    old = browse("ada", sample_services(security=SampleSecurity(fresh=False)))
    assert fill(old, "/account/data", "/account/data/export").headers["location"] == (
        "/account/sign-in/again?next=/account/data"
    )
