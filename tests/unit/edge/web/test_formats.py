"""How values look to people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prog_contracts.money import Money
from prog_edge.web.ui import formats
from prog_edge.web.ui.highlight import highlight_json, highlight_python

NOW = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


@pytest.mark.parametrize(
    ("amount", "currency", "short", "text"),
    [
        (4900, "USD", False, "$49.00"),
        (4900, "USD", True, "$49"),
        (4950, "USD", True, "$49.50"),
        (-1999, "EUR", False, "-€19.99"),
        (1500, "JPY", False, "¥1,500"),
        (1_128_300, "USD", True, "$11,283"),
        (1234, "KWD", False, "KWD1.234"),
    ],
)
def test_money(amount: int, currency: str, short: bool, text: str) -> None:
    assert formats.money(Money(amount=amount, currency=currency), short=short) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"),
        (44, "just now"),
        (90, "2 min ago"),
        (3600 * 3, "3 h ago"),
        (86400, "1 day ago"),
        (86400 * 3, "3 days ago"),
        (86400 * 8, "6 Mar 2026"),
        (-3, "in a moment"),
        (-3600 * 2, "in 2 h"),
        (-86400 * 30, "13 Apr 2026"),
    ],
)
def test_ago(seconds: float, text: str) -> None:
    assert formats.ago(NOW - timedelta(seconds=seconds), NOW) == text


def test_times_tell_the_zone_that_they_are_in() -> None:
    for zone, name in (("Europe/Berlin", "Europe/Berlin"), (None, "UTC"), ("Nowhere/At_All", "UTC")):
        formats.show_in(zone)
        assert formats.zone_name() == name


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, "–"),
        (0.42, "0.4 ms"),
        (12.3, "12 ms"),
        (1300, "1.3 s"),
        (240_000, "4 min"),
        (7_200_000, "2 h"),
        (3e9, "35 d"),
    ],
)
def test_duration(milliseconds: float | None, text: str) -> None:
    assert formats.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.42, "0.42"), (942, "942"), (12_400, "12.4k"), (3.2e6, "3.2M")]
)
def test_compact(value: float, text: str) -> None:
    assert formats.compact(value) == text


def test_ids_are_cut_where_they_differ() -> None:
    assert formats.short_id("tenant_01jd7z4c8nf3ktv9q2m6x0r5we") == "tenant_01jd…r5we"
    assert formats.short_id("0199c1f2-a3b4-7000-8000-000000000001") == "0199c1f2…0001"
    assert formats.short_id("scheduler") == "scheduler"


def test_a_time_tells_its_exact_instant() -> None:
    assert 'title="2026-03-14 15:09:26.000 UTC"' in formats.date(NOW)
    assert ">14 Mar 2026<" in formats.date(NOW)


@pytest.mark.parametrize(("name", "text"), [("Ada Lovelace", "AL"), ("ada", "A"), ("", "?"), ("Jean Luc Picard", "JP")])
def test_initials(name: str, text: str) -> None:
    assert formats.initials(name) == text


def test_highlighted_json_stays_harmless() -> None:
    shown = highlight_json({"note": "<script>alert(1)</script>", "count": 3})

    assert "<script>" not in shown
    assert '<span class="c-name">&#34;note&#34;</span>' in shown
    assert '<span class="c-number">3</span>' in shown


def test_highlighted_python_marks_keywords_and_calls() -> None:
    shown = highlight_python("@a.handles(B)\nasync def f(x): return g(x)  # why")

    assert '<span class="c-decorator">@a.handles</span>' in shown
    assert '<span class="c-keyword">async</span>' in shown
    assert '<span class="c-call">g</span>' in shown
    assert '<span class="c-comment"># why</span>' in shown


def test_json_to_edit_keeps_its_order_and_its_characters() -> None:
    assert formats.json_text({"b": "Zoë <1>", "a": None}) == '{\n  "b": "Zoë <1>",\n  "a": null\n}'


@pytest.mark.parametrize(("value", "told"), [(1, "1 hour"), (36, "36 hours"), (24, "1 day"), (336, "14 days")])
def test_how_long_something_is_kept(value: int, told: str) -> None:
    assert formats.hours(value) == told
