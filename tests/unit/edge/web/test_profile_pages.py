"""The profile page and people's pictures, without JavaScript."""

from __future__ import annotations

from dataclasses import replace

import pytest

from prog_contracts.profiles import avatar_path
from prog_edge.web.ports import WebServices
from tests.unit.edge.web.conftest import Browse, Browser
from tests.unit.edge.web.markup import read
from tests.unit.edge.web.sample_backend import ADA, TENANT, SampleSessions, sample_services
from tests.unit.edge.web.sample_profile import AVATAR, SampleProfile
from tests.unit.edge.web.test_forms import fill, problem_at

HERE = "/account/profile"
PICTURE = avatar_path(ADA.user_id, AVATAR)


def over(profile: SampleProfile, **viewer: object) -> WebServices:
    sessions = SampleSessions(viewers={"ada": replace(ADA, **viewer)})  # type: ignore[arg-type]  # fields of a Viewer
    return replace(sample_services(), profile=profile, sessions=sessions)


def send_picture(client: Browser, content: bytes) -> object:
    forms = [form for form in read(client.get(HERE).text).all("form") if form.get("action") == f"{HERE}/picture"]
    [token] = [field for field in forms[0].all("input") if field.get("name") == "csrf_token"]
    file = {"image": ("me.png", content, "image/png")}
    return client.post(f"{HERE}/picture", data={"csrf_token": token.get("value")}, files=file)


def chosen(html: str, name: str) -> str | None:
    [select] = [each for each in read(html).all("select") if each.get("name") == name]
    return next((each.get("value") for each in select.all("option") if "selected" in each.attributes), None)


def test_a_form_says_what_holds_and_changes_it(browse: Browse) -> None:
    profile = SampleProfile()
    client = browse("ada", over(profile))
    page = client.get(HERE).text
    assert f'href="{HERE}"' in client.get("/account").text
    assert (chosen(page, "time_zone"), chosen(page, "locale"), chosen(page, "theme")) == ("Europe/London", "en-GB", "")
    answer = fill(client, HERE, HERE, name="Countess", time_zone="Asia/Kolkata", locale="", theme="dark")
    assert answer.headers["location"] == HERE
    assert replace(profile.profile, picture=None) == profile.profile
    assert (profile.profile.name, profile.profile.time_zone) == ("Countess", "Asia/Kolkata")
    assert (profile.profile.locale, profile.profile.theme) == (None, "dark")
    refused = fill(client, HERE, HERE, name="", time_zone="Asia/Tokyo")
    assert (refused.status_code, problem_at(refused.text, "name")) == (422, "Enter a name.")
    assert chosen(refused.text, "time_zone") == "Asia/Tokyo", "what was typed is not lost"


def test_a_zone_that_the_list_leaves_out_stays_chosen(browse: Browse) -> None:
    profile = SampleProfile()
    profile.profile = replace(profile.profile, time_zone="US/Pacific", locale="zh-Hant-TW")
    page = browse("ada", over(profile)).get(HERE).text
    assert (chosen(page, "time_zone"), chosen(page, "locale")) == ("US/Pacific", "zh-Hant-TW")


def test_a_picture_is_sent_shown_and_removed(browse: Browse) -> None:
    profile = SampleProfile()
    client = browse("ada", over(profile))
    assert "<img" not in client.get(HERE).text.partition("<main")[2], "letters stand where there is none"
    refused = send_picture(client, b"GIF89a")
    assert refused.status_code == 422  # type: ignore[attr-defined]  # an answer
    assert problem_at(refused.text, "image") == "Send a PNG, JPEG or WebP picture."  # type: ignore[attr-defined]
    empty = send_picture(client, b"")
    assert problem_at(empty.text, "image") == "Choose a picture first."  # type: ignore[attr-defined]
    send_picture(client, b"\x89PNG...")
    assert f'src="{PICTURE}"' in client.get(HERE).text
    answer = fill(client, HERE, f"{HERE}/picture/remove")
    assert answer.headers["location"] == HERE
    assert profile.profile.picture is None


def test_a_picture_is_served_to_anybody_and_nothing_else_in_its_name(browse: Browse) -> None:
    profile = SampleProfile()
    profile.profile = replace(profile.profile, picture=PICTURE)
    client = browse(None, over(profile))
    answer = client.get(PICTURE)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "public, max-age=2592000, immutable"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "sandbox" in answer.headers["content-security-policy"]
    for other in (avatar_path(ADA.user_id, "6f" * 16), avatar_path("user_x", AVATAR), PICTURE.replace("5f", "5F")):
        assert client.get(other).status_code == 404, other


def test_whoever_has_a_picture_is_shown_by_it_on_every_page(browse: Browse) -> None:
    client = browse("ada", over(SampleProfile(), picture=PICTURE))
    for path in ("/account", f"/account/tenants/{TENANT}"):
        assert f'src="{PICTURE}"' in client.get(path).text, path


@pytest.mark.parametrize("path", [f"/account/tenants/{TENANT}", "/account/sessions"])
def test_times_are_in_the_viewer_s_zone_and_of_nobody_else_s(browse: Browse, path: str) -> None:
    far = browse("ada", over(SampleProfile(), time_zone="Pacific/Kiritimati"))
    assert "+1400 Pacific/Kiritimati" in far.get(path).text
    plain = browse("ada").get(path).text
    assert "Kiritimati" not in plain
    assert " UTC" in plain


def test_the_look_is_the_browser_s_choice_or_else_the_person_s(browse: Browse) -> None:
    client = browse("ada", over(SampleProfile(), theme="dark"))
    assert '<html lang="en" data-theme="dark">' in client.get("/account").text
    client.cookies.set("prog_theme", "light", domain="127.0.0.1")
    assert '<html lang="en" data-theme="light">' in client.get("/account").text
    saved = fill(client, HERE, HERE, name="Ada", theme="dark")
    assert 'prog_theme=""' in saved.headers["set-cookie"], "what is saved holds in this browser, too"
