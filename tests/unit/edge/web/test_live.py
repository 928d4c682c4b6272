"""The live feeds of the console."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

import pytest

from prog_contracts.monitoring import MetricsUpdated
from prog_edge.web.admin.live_routes import sse
from prog_edge.web.ports import EventRow, Viewer
from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.sample_backend import sample_services
from tests.unit.edge.web.sample_console import SampleAdmin, sample_event


@pytest.mark.parametrize("path", ["/admin/events", "/admin/topics/prog.payments.events", "/admin"])
def test_clock_times_and_charts_name_their_zone(browse: Browse, path: str) -> None:
    page = browse("operator").get(path).text
    assert "(UTC)" in page or 'data-chart-zone="UTC"' in page


def test_an_event_of_the_stream_is_framed_line_by_line() -> None:
    assert sse("row", "<tr>\n</tr>", "7") == b"id: 7\nevent: row\ndata: <tr>\ndata: </tr>\n\n"
    assert sse("tick", "") == b"event: tick\ndata: \n\n"


def test_rows_go_on_after_the_last_one_that_the_browser_has(browse: Browse) -> None:
    client = browse("operator", sample_services(admin=SampleAdmin(pause_seconds=0)))

    answer = client.get("/admin/events/live?after=41", headers={"last-event-id": "99"})

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "id: 100\nevent: row\n" in answer.text
    assert "id: 99\n" not in answer.text
    assert 'data: <tr id="event-100" class="is-fresh">' in answer.text


class Measuring(SampleAdmin):
    """Its log has the figures that come all the time, and something that happened."""

    async def follow_events(
        self, viewer: Viewer, filters: Mapping[str, str], after: int | None
    ) -> AsyncIterator[EventRow | None]:
        yield replace(sample_event(41), type=MetricsUpdated.TYPE)
        yield sample_event(42)


def test_figures_do_not_crowd_out_what_happens_unless_they_are_asked_for(browse: Browse) -> None:
    client = browse("operator", sample_services(admin=Measuring()))
    live = client.get("/admin/events/live").text
    assert ("id: 41\n" in live, "id: 42\n" in live) == (False, True)
    assert "id: 41\n" in client.get("/admin/events/live?domain=monitoring").text
    assert '"domain": "monitoring"' in client.get("/admin/live").text


@pytest.mark.parametrize("last", ["\u00b2", "9" * 5000, "-1", ""])
def test_an_id_that_is_none_of_ours_breaks_no_feed(browse: Browse, last: str) -> None:
    client = browse("operator", sample_services(admin=SampleAdmin(pause_seconds=0)))

    for path in ("/admin/events/live", "/admin/live"):
        assert client.get(f"{path}?after=41", headers={"last-event-id": last.encode("latin-1")}).status_code == 200
    assert "id: 42\nevent: row\n" in client.get("/admin/events/live?after=41", headers={"last-event-id": "x"}).text


def test_ticks_name_the_domain_that_has_news(browse: Browse) -> None:
    client = browse("operator", sample_services(admin=SampleAdmin(pause_seconds=0)))

    assert 'event: tick\ndata: {"domain": "users", "type": "prognetwork.users.' in client.get("/admin/live").text


def test_the_events_page_says_where_its_feed_goes_on(browse: Browse) -> None:
    client = browse("operator")

    assert (
        'data-stream="/admin/events/live?domain=users&amp;after=18240"' in client.get("/admin/events?domain=users").text
    )
    assert "data-stream=" not in client.get("/admin/events?cursor=older").text


def test_unknown_filters_are_left_out(browse: Browse) -> None:
    page = browse("operator").get("/admin/users?role=emperor&colour=red&search=x").text

    assert 'href="/admin/users?search=x&amp;cursor=older"' in page


def test_the_palette_gets_the_hits_alone(browse: Browse) -> None:
    part = browse("operator").get("/admin/find?q=ada&part=1").text

    assert part.startswith('<a class="palette-item"')
    assert "<html" not in part
