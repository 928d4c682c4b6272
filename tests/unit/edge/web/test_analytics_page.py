"""The console's page about all tenants."""

from __future__ import annotations

from dataclasses import replace
from html import unescape

import orjson
import pytest

from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_analytics import SampleAnalytics
from tests.unit.edge.web.sample_backend import sample_services

HERE = "/admin/analytics"


@pytest.mark.parametrize(
    ("query", "by"), [("", "plan"), ("?by=size", "size"), ("?by=name", "plan"), ("?by=month&by=plan", "plan")]
)
def test_tenants_are_counted_by_one_property_of_a_few(browse: Browse, query: str, by: str) -> None:
    analytics = SampleAnalytics()
    page = browse("operator", replace(sample_services(), analytics=analytics)).get(HERE + query)
    assert page.status_code == 200
    assert analytics.asked == [by]
    assert "fewer than 5 is not told" in page.text


def test_a_small_group_is_not_told_and_looks_like_an_empty_one(browse: Browse) -> None:
    page = browse("operator").get(HERE).text
    rows = [" ".join(" ".join(each.text for each in row.everything()).split()) for row in read(page).all("tr")]
    assert rows[1:] == [
        "Free 120 120 2",
        "Starter 45 45 –",
        "Scale Fewer than 5, or none – –",
        "All of these Groups that are told 165 3",
    ]


def test_months_are_a_chart_with_gaps_where_nothing_is_told(browse: Browse) -> None:
    page = browse("operator").get(f"{HERE}?by=month").text
    told = orjson.loads(unescape(page.partition('data-chart="')[2].partition('"')[0]))
    assert told["values"]["Tenants made"] == [5, 10, None, 20, 25, 30, 35, 40, 45, 50, 55]
    assert told["times"][0] == 1767225600
    assert "data-chart=" not in browse("operator").get(HERE).text


def test_it_is_for_operators_alone(browse: Browse) -> None:
    assert browse("ada").get(HERE).status_code == 403
    assert browse(None).get(HERE).headers["location"].startswith("/account/sign-in")
