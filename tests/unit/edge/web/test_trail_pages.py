"""The page of a tenant's audit trail, and the pages of its invoices, without JavaScript."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

import pytest

from prog_contracts.tenants import TenantRole
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import ADA, TENANT, SampleAccount, SampleSessions, sample_services
from tests.unit.edge.web.sample_trail import ENTRIES, SampleTrail

PAGE = f"/account/tenants/{TENANT}/audit"
BILLING = f"/account/tenants/{TENANT}/billing"


def test_the_page_says_who_did_what_and_who_was_refused(browse: Browse) -> None:
    page = browse("ada", sample_services(trail=SampleTrail())).get(PAGE).text
    for entry in ENTRIES:
        assert entry.text in page
        assert entry.by in page
    assert "Denied: billing.read" in page
    assert "×12" in page


def test_the_filters_reach_pages_and_file_alike(browse: Browse) -> None:
    trail = SampleTrail()
    client = browse("ada", sample_services(trail=trail))
    asked = "search=tenants.&outcome=denial&from=2026-11-01&to=2026-11-30"
    html = client.get(f"{PAGE}?{asked}").text
    links = {item.text.strip(): item.get("href") or "" for item in read(html).all("a")}
    older, file = links["Older"], links["All of these as CSV"]
    assert dict(parse_qsl(urlsplit(older).query)) == {**dict(parse_qsl(asked)), "cursor": "older"}
    assert client.get(file).headers["content-type"].startswith("text/csv")
    assert "Newest" in client.get(older).text
    first, of_file, second = trail.asked
    assert (first.search, first.outcome, first.cursor) == ("tenants.", "denial", None)
    assert (first.since, first.until) == (datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
    assert of_file == first
    assert second == replace(first, cursor="older")
    for value in ("tenants.", "2026-11-01", "2026-11-30"):
        assert f'value="{value}"' in html, "what was asked for stays in the form"


def test_days_are_those_of_the_viewer(browse: Browse) -> None:
    trail = SampleTrail()
    services = sample_services(trail=trail)
    assert isinstance(services.sessions, SampleSessions)
    services.sessions.viewers["ada"] = replace(ADA, time_zone="Europe/Berlin")
    browse("ada", services).get(f"{PAGE}?from=2026-11-01&to=2026-11-01")
    zone = ZoneInfo("Europe/Berlin")
    assert trail.asked[0].since == datetime(2026, 11, 1, tzinfo=zone)
    assert trail.asked[0].until == datetime(2026, 11, 2, tzinfo=zone)


@pytest.mark.parametrize(
    "query", ["outcome=maybe", "from=yesterday", "to=9999-12-31", "from=0001-01-01", "from=2026-02-30", "search=%00"]
)
def test_what_cannot_be_asked_is_left_out(browse: Browse, query: str) -> None:
    trail = SampleTrail()
    assert browse("ada", sample_services(trail=trail)).get(f"{PAGE}?{query}").status_code == 200
    [asked] = trail.asked
    assert (asked.outcome, asked.since, asked.until, asked.search) == (None, None, None, "")


def test_a_cursor_of_another_list_leads_to_the_first_page(browse: Browse) -> None:
    client = browse("ada", sample_services(trail=SampleTrail()))
    assert client.get(f"{PAGE}?search=users&cursor=made-up").headers["location"] == f"{PAGE}?search=users"
    assert client.get(f"{BILLING}?cursor=made-up").headers["location"] == BILLING


def test_nothing_found_and_nothing_there_are_told_apart(browse: Browse) -> None:
    assert "Nothing matches" in browse("ada").get(f"{PAGE}?search=nothing").text
    assert "No entries yet" in browse("ada", sample_services(trail=SampleTrail(empty=True))).get(PAGE).text


@pytest.mark.parametrize("role", ["member", "viewer", "billing"])
def test_it_is_for_owners_and_admins(browse: Browse, role: TenantRole) -> None:
    client = browse("ada", sample_services(trail=SampleTrail(role=role), account=SampleAccount(role=role)))
    assert client.get(PAGE).status_code == client.get(f"{PAGE}.csv").status_code == 403
    assert PAGE not in client.get(f"/account/tenants/{TENANT}").text


def test_invoices_have_pages(browse: Browse) -> None:
    client = browse("ada")
    [older] = [item.get("href") or "" for item in read(client.get(BILLING).text).all("a") if item.text == "Older"]
    page = client.get(older.partition("#")[0]).text
    [newest] = [item.get("href") for item in read(page).all("a") if item.text == "Newest"]
    assert newest == f"{BILLING}#invoices"
