"""The page where a tenant's owners take its data along, without JavaScript."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.edge.web.conftest import Browse
from tests.unit.edge.web.sample_backend import TENANT, sample_services
from tests.unit.edge.web.sample_exports import EXPIRED, FAILED, READY, RUNNING, SampleExports
from tests.unit.edge.web.test_forms import fill

PAGE = f"/account/tenants/{TENANT}/export"


def test_an_export_is_asked_for_and_fetched(browse: Browse) -> None:
    exports = SampleExports()
    client = browse("ada", sample_services(exports=exports))
    assert f'href="{PAGE}"' in client.get(f"/account/tenants/{TENANT}").text
    assert f'href="{PAGE}"' in client.get(f"/account/tenants/{TENANT}/delete").text
    assert fill(client, PAGE, PAGE).headers["location"] == PAGE
    file = fill(client, PAGE, f"{PAGE}/{READY.id}")
    assert (file.status_code, file.content) == (200, b"PK")
    assert exports.done == ["begin", READY.id]


def test_the_page_tells_how_far_each_export_is(browse: Browse) -> None:
    running = browse("ada", sample_services(exports=SampleExports((RUNNING, EXPIRED))))
    page = running.get(PAGE).text
    assert "12 of 44 tables, 51,200 rows so far" in page
    assert "somebody who is no member any more" in page
    assert "Fetch the file" not in page
    refused = fill(running, PAGE, PAGE)
    assert (refused.status_code, "An export is being made." in refused.text) == (422, True)


def test_an_export_that_became_too_large_is_told_with_what_to_do(browse: Browse) -> None:
    for who, path in (("ada", PAGE), ("operator", f"/admin/tenants/{TENANT}")):
        services = sample_services(exports=SampleExports((FAILED,)))
        assert "Too large" in browse(who, services).get(path).text
    page = browse("ada", sample_services(exports=SampleExports((FAILED,)))).get(PAGE).text
    assert "9,800,211 rows, asked for by Ada Lovelace. That was more than an export may have here" in page
    assert "nothing of it is kept. Ask whoever runs this platform to allow more." in page
    assert "Fetch the file" not in page
    assert "disabled" not in page.partition("Collect the data")[0].rpartition("<button")[2]


def test_a_tenant_whose_data_nobody_has_taken_along_yet_has_the_page(browse: Browse) -> None:
    page = browse("ada", sample_services(exports=SampleExports(()))).get(PAGE)
    assert (page.status_code, "None yet" in page.text) == (200, True)


def test_a_file_that_was_deleted_meanwhile_is_told(browse: Browse) -> None:
    late = replace(READY, id=EXPIRED.id)
    client = browse("ada", sample_services(exports=SampleExports((late,))))
    assert fill(client, PAGE, f"{PAGE}/{late.id}").headers["location"] == PAGE
    assert "This export is not ready, or was deleted." in client.get(PAGE).text


def test_staff_sees_exports_and_can_ask_for_none(browse: Browse) -> None:
    page = browse("ada", sample_services(exports=SampleExports(owner=False))).get(PAGE).text
    assert "Its owners alone can ask for one" in page
    assert "Fetch the file" not in page
    assert f'action="{PAGE}"' not in page


def test_the_console_shows_a_tenant_s_exports(browse: Browse) -> None:
    page = browse("operator", sample_services()).get(f"/admin/tenants/{TENANT}").text
    assert "182,304 rows, asked for by Ada Lovelace" in page


@pytest.mark.parametrize("action", ["", f"/{READY.id}"])
def test_both_ask_for_a_fresh_sign_in(browse: Browse, action: str) -> None:
    client = browse("ada", sample_services(exports=SampleExports(fresh=False)))
    assert fill(client, PAGE, f"{PAGE}{action}").headers["location"] == f"/account/sign-in/again?next={PAGE}"
