"""A tenant's configuration over HTTP: from a PUT to the page and the mail, and of its own tenant alone."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import httpx
import pytest
import pytest_asyncio
from PIL import Image

from prog_contracts.ids import new_id
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import browser_of, join
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOOKS = {
    "branding": {"name": "Acme Group", "accent_light": "#0B6B4F", "accent_dark": "#5fd0a5"},
    "mail": {"sender_name": "Acme", "reply_to": "Answers@Acme.example", "support_address": "help@acme.example"},
    "locale": "en_GB",
    "invitations": {"lifetime_days": 3},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acme(stage: Stage) -> Person:
    owner = await stage.person("owner@config.example")
    await stage.tenant_of(owner, "Acme Ltd")
    return owner


def path(person: Person, rest: str = "") -> str:
    return f"/v1/tenants/{person.tenant_id}/config{rest}"


async def put(person: Person, settings: Any, if_match: str | None = "*", **more: Any) -> httpx.Response:
    headers = {} if if_match is None else {"If-Match": if_match}
    return await person.request("PUT", path(person), json={"settings": settings, **more}, headers=headers)


async def test_from_a_document_to_a_mail_and_a_page(stage: Stage, acme: Person) -> None:
    first = await acme.request("GET", path(acme))
    assert (first.headers["etag"], first.json()["version"]) == ('"1"', 1)
    picture = BytesIO()
    Image.new("RGB", (80, 40), "#0b6b4f").save(picture, "JPEG")
    image = base64.b64encode(picture.getvalue()).decode()
    logo = await acme.post(f"/v1/tenants/{acme.tenant_id}/logos", {"image": image})
    settings = LOOKS | {"branding": LOOKS["branding"] | {"logo": logo["id"]}}  # type: ignore[operator]
    answer = await put(acme, settings, '"1"', reason="New looks")
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == '"2"'
    kept = answer.json()
    assert kept["settings"]["branding"]["accent_light"] == "#0b6b4f"
    assert kept["settings"]["mail"]["reply_to"] == "answers@acme.example"
    seen = await acme.get(path(acme))
    assert kept == seen
    assert (seen["changed_by"], seen["reason"]) == (acme.user_id, "New looks")

    guest = f"guest-{new_id('x')[-6:]}@config.example"
    await acme.post(f"/v1/tenants/{acme.tenant_id}/invitations", {"email": guest})
    await stage.token_mailed_to(guest, "invite")
    [letter] = (await stage.http.get("/v1/mailbox", params={"to": guest})).json()["data"]
    mail = (await stage.http.get(f"/v1/mailbox/{letter['id']}")).json()
    assert f'src="{logo["url"]}"' in mail["html"]
    assert "#0b6b4f" in mail["html"]
    assert "Sent for Acme Group by ProgNetwork" in mail["text"]
    served = await stage.http.get(logo["url"])
    assert served.headers["content-type"] == "image/png"
    assert served.content.startswith(b"\x89PNG")

    async with browser_of(acme) as browser:
        page = await browser.get(f"/account/tenants/{acme.tenant_id}")
        assert "Acme Group" in page.text
        style = page.text.partition('rel="stylesheet" href="/brand/')[2].partition('"')[0]
        colors = await browser.get(f"/brand/{style}")
        assert "--color-accent: #5fd0a5" in colors.text
        settings_page = await browser.get(f"/account/tenants/{acme.tenant_id}/settings")
        assert "New looks" in settings_page.text


async def test_history_differences_and_the_way_back(acme: Person) -> None:
    before = (await acme.get(path(acme)))["version"]
    plain = (await put(acme, {})).json()
    assert plain["version"] == before + 1
    diff = await acme.get(path(acme, "/diff"))
    assert (diff["from_version"], diff["to_version"]) == (before, before + 1)
    named = {item["setting"]: (item["before"], item["after"]) for item in diff["data"]}
    assert named["branding.name"] == ("Acme Group", None)
    nothing = await acme.get(path(acme, "/diff"), params={"from_version": 0, "to_version": before + 1})
    assert nothing["data"] == []
    back = await acme.post(path(acme, "/rollback"), {"version": before, "reason": "Looked better"})
    assert (back["version"], back["restored_version"]) == (before + 2, before)
    page = await acme.get(path(acme, "/history"), params={"limit": 2})
    assert [item["version"] for item in page["data"]] == [before + 2, before + 1]
    rest = await acme.get(path(acme, "/history"), params={"limit": 200, "cursor": page["next_cursor"]})
    assert rest["data"][-1]["version"] == 1
    assert (await acme.get(path(acme, f"/history/{before}")))["settings"] == back["settings"]
    for wrong in ("/history/99", "/diff?to_version=99", "/diff?from_version=99"):
        assert (await acme.request("GET", path(acme, wrong))).status_code == 404, wrong
    for wrong in ("/history/0", "/history/x", "/diff?from_version=-1", "/diff?what=1", "/history?cursor=x"):
        assert (await acme.request("GET", path(acme, wrong))).status_code == 422, wrong


async def test_nobody_undoes_unseen_what_another_has_changed(acme: Person) -> None:
    version = (await acme.get(path(acme)))["version"]
    missing = await put(acme, {}, None)
    assert (missing.status_code, missing.json()["code"]) == (428, "precondition_required")
    for stale in (f'"{version - 1}"', f'"{version + 1}"', '"0"', "2", 'W/"1"', '"1", "2"', "x" * 100, '"９"'.encode()):
        answer = await put(acme, {}, stale)  # type: ignore[arg-type]  # bytes that are no ASCII
        assert (answer.status_code, answer.json()["code"]) == (412, "version_mismatch"), stale
    rolled = await acme.request(
        "POST", path(acme, "/rollback"), json={"version": 1}, headers={"If-Match": f'"{version - 1}"'}
    )
    assert (rolled.status_code, rolled.json()["code"]) == (412, "version_mismatch")
    assert (await acme.get(path(acme)))["version"] == version


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"branding": {"accent_light": "#ffee00"}}, "settings.branding.accent_light"),
        ({"branding": {"accent_light": "red"}}, "settings.branding.accent_light"),
        ({"branding": {"accent_light": "#fff; background: url(//evil.example)"}}, "settings.branding.accent_light"),
        ({"branding": {"logo": "../../x"}}, "settings.branding.logo"),
        ({"branding": {"css": "x"}}, "settings.branding.css"),
        ({"branding": None}, "settings.branding"),
        ({"mail": {"reply_to": "a@b.example\r\nBcc: c@d.example"}}, "settings.mail.reply_to"),
        ({"mail": {"sender_name": "\u202egnp"}}, "settings.mail.sender_name"),
        ({"locale": "../../etc"}, "settings.locale"),
        ({"invitations": {"lifetime_days": 31}}, "settings.invitations.lifetime_days"),
        ({"invitations": {"lifetime_days": "soon"}}, "settings.invitations.lifetime_days"),
        ({"plan": "scale"}, "settings.plan"),
        ([], "settings"),
    ],
)
async def test_settings_that_are_wrong_are_named(acme: Person, settings: Any, field: str) -> None:
    version = (await acme.get(path(acme)))["version"]
    answer = await put(acme, settings)
    assert answer.status_code == 422, answer.text
    assert [item["field"] for item in answer.json()["errors"]] == [field]
    assert (await acme.get(path(acme)))["version"] == version


@pytest.mark.parametrize("image", ["", "not base64!", base64.b64encode(b"<svg/>").decode(), "A" * 800_000])
async def test_what_is_no_picture_is_no_logo(acme: Person, image: str) -> None:
    answer = await acme.request("POST", f"/v1/tenants/{acme.tenant_id}/logos", json={"image": image})
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["field"] == "image"


async def test_everybody_in_the_tenant_reads_and_owners_and_admins_change(stage: Stage, acme: Person) -> None:
    for role, status in (("viewer", 403), ("billing", 403), ("admin", 200)):
        person = await join(stage, acme, role)
        assert (await person.request("GET", path(person, "/history"))).status_code == 200
        assert (await put(person, LOOKS)).status_code == status, role


async def test_two_tenants_never_see_one_anothers_looks(stage: Stage, acme: Person) -> None:
    await put(acme, LOOKS)
    other = await stage.person("other@config.example")
    await stage.tenant_of(other, "Other Ltd")
    await put(other, {"branding": {"name": "Other brand", "accent_light": "#5b2d8a"}})
    async with browser_of(acme) as mine, browser_of(other) as theirs:
        for _ in range(2):  # the second time from what is remembered
            pages = [
                (await mine.get(f"/account/tenants/{acme.tenant_id}")).text,
                (await theirs.get(f"/account/tenants/{other.tenant_id}")).text,
            ]
            assert ("Acme Group" in pages[0], "Other brand" in pages[0]) == (True, False)
            assert ("Acme Group" in pages[1], "Other brand" in pages[1]) == (False, True)
        strangers = await theirs.get(f"/account/tenants/{acme.tenant_id}")
        assert strangers.status_code == 404
        assert "Acme Group" not in strangers.text
        assert f"/brand/{acme.tenant_id}" not in strangers.text


async def test_the_trail_tells_who_configured_and_who_was_refused(stage: Stage) -> None:
    acme = await stage.person("trail@config.example")
    await stage.tenant_of(acme, "Trail Ltd")
    viewer = await join(stage, acme, "viewer")
    assert (await put(viewer, LOOKS)).status_code == 403
    await put(acme, LOOKS | {"locale": "en_IN"})

    async def told() -> bool:
        entries = (await acme.get("/v1/audit", params={"limit": 200}))["data"]
        done = {(item["action"], item["outcome"], item["actor"]) for item in entries}
        refused = {item["actor"] for item in entries if item["outcome"] == "denial"}
        return ("tenants.tenant_configured", "success", acme.user_id) in done and viewer.user_id in refused

    await wait_until(told, within_seconds=60, what="the entries of the audit trail")
