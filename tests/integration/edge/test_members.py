"""Members and invitations over HTTP: roles, removal and its bound, leaving, links that are sent again or taken back."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from prog_contracts.ids import new_id
from prog_edge.directory import FRESH_SECONDS
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_roles import browser_of, join
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

HEARTBEAT_SECONDS = 0.5


async def company(stage: Stage, name: str) -> tuple[Person, str]:
    """An owner, and the path of their new tenant."""
    owner = await stage.person(f"{name}@members.example", "Olga Owner")
    return owner, f"/v1/tenants/{await stage.tenant_of(owner, name)}"


async def test_check_17_a_removed_person_gets_in_no_more_within_the_bound_on_streams_too(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests within FRESH_SECONDS, here at once; streams within a heartbeat more."""
    monkeypatch.setattr(stage.platform, "heartbeat_seconds", HEARTBEAT_SECONDS)
    owner, path = await company(stage, "removal")
    guest = await join(stage, owner, "admin")
    assert (await guest.get(path))["role"] == "admin"
    connected, ended = asyncio.Event(), 0.0

    async def listen() -> float:
        async with stage.http.stream("GET", "/v1/events/stream", headers=guest.headers) as response:
            assert response.status_code == 200
            async for line in response.aiter_lines():
                if line == ": connected":
                    connected.set()
        return monotonic()

    listening = asyncio.create_task(listen())
    await asyncio.wait_for(connected.wait(), 60)
    async with browser_of(guest) as browser:
        page = f"/account/tenants/{guest.tenant_id}"
        assert (await browser.get(page)).status_code == 200
        removed_at = monotonic()
        answer = await owner.request("DELETE", f"{path}/members/{guest.user_id}")
        assert answer.status_code == 204, answer.text
        assert (await guest.request("GET", path)).status_code == 404
        assert (await guest.request("GET", "/v1/events")).status_code == 404
        assert (await browser.get(page)).status_code == 404
        assert (await guest.get("/v1/me"))["tenants"] == []
    ended = await asyncio.wait_for(listening, 60)
    assert ended - removed_at <= FRESH_SECONDS + HEARTBEAT_SECONDS + 2
    assert guest.user_id not in {item["user_id"] for item in (await owner.get(f"{path}/members"))["data"]}


async def test_check_17_another_edge_shuts_a_removed_person_out_within_five_seconds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the removal did not go through, what is remembered of the person ends by itself."""
    monkeypatch.setattr(stage.platform.memberships, "_fresh_seconds", FRESH_SECONDS)  # as in production
    owner, path = await company(stage, "elsewhere")
    guest = await join(stage, owner, "viewer")
    assert (await guest.request("GET", path)).status_code == 200
    remembered = dict(stage.platform.memberships._values)
    await owner.request("DELETE", f"{path}/members/{guest.user_id}")
    stage.platform.memberships._values.update(remembered)  # as an edge that has heard of nothing
    since = monotonic()

    async def shut_out() -> bool:
        return (await guest.request("GET", path)).status_code == 404

    await wait_until(shut_out, within_seconds=60, what="the bound")
    assert monotonic() - since <= FRESH_SECONDS + 2


async def test_check_17_a_lowered_role_takes_its_rights_at_once(stage: Stage) -> None:
    owner, path = await company(stage, "lowering")
    guest = await join(stage, owner, "billing")
    assert (await guest.request("GET", "/v1/invoices")).status_code == 200
    changed = await owner.request("PATCH", f"{path}/members/{guest.user_id}", json={"role": "viewer"})
    assert changed.status_code == 200, changed.text
    assert (changed.json()["role"], changed.json()["email"]) == ("viewer", guest.email)
    assert (await guest.request("GET", "/v1/invoices")).status_code == 403
    assert (await guest.get(path))["role"] == "viewer"


async def test_check_22_nobody_grants_above_their_own_rights(stage: Stage) -> None:
    owner, path = await company(stage, "grants")
    admin = await join(stage, owner, "admin")
    viewer = await join(stage, owner, "viewer")
    boss = await owner.post(f"{path}/invitations", {"email": "boss@members.example", "role": "owner"})
    for method, target, body, code in (
        ("PATCH", f"members/{admin.user_id}", {"role": "owner"}, "role_too_high"),
        ("PATCH", f"members/{owner.user_id}", {"role": "viewer"}, "role_too_high"),
        ("DELETE", f"members/{owner.user_id}", None, "role_too_high"),
        ("POST", "invitations", {"email": "me@members.example", "role": "owner"}, "role_too_high"),
        ("POST", f"invitations/{boss['id']}/resend", {}, "role_too_high"),
        ("DELETE", f"invitations/{boss['id']}", None, "role_too_high"),
    ):
        refused = await admin.request(method, f"{path}/{target}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (403, code), target
        below = await viewer.request(method, f"{path}/{target}", json=body)
        assert (below.status_code, below.json()["code"]) == (403, "denied"), target
    roles = {item["user_id"]: item["role"] for item in (await owner.get(f"{path}/members"))["data"]}
    assert roles == {owner.user_id: "owner", admin.user_id: "admin", viewer.user_id: "viewer"}
    first = await owner.get(f"{path}/members?limit=1")
    rest = await owner.get(f"{path}/members?cursor={first['next_cursor']}")
    assert ([item["user_id"] for item in first["data"]], rest["next_cursor"]) == ([owner.user_id], None)
    assert {item["user_id"] for item in rest["data"]} == {admin.user_id, viewer.user_id}


async def test_check_22_an_invitation_is_sent_again_with_a_new_link_and_taken_back(stage: Stage) -> None:
    owner, path = await company(stage, "links")
    guest = await stage.person("linked@members.example")
    made = await owner.post(f"{path}/invitations", {"email": guest.email, "role": "viewer"})
    first = await stage.token_mailed_to(guest.email, "invite")
    resent = await owner.post(f"{path}/invitations/{made['id']}/resend")
    assert (resent["id"], resent["expired"]) == (made["id"], False)
    assert resent["expires_at"] > made["expires_at"]
    assert "prog_invite" not in str(resent), "the link is not shown to the inviter"
    spent = await guest.request("POST", "/v1/invitations/accept", json={"token": first})
    assert (spent.status_code, spent.json()["code"]) == (404, "invitation_invalid")

    async def mailed_anew() -> bool:
        return await stage.token_mailed_to(guest.email, "invite") != first

    await wait_until(mailed_anew, within_seconds=60, what="the second mail")
    second = await stage.token_mailed_to(guest.email, "invite")
    assert (await owner.request("DELETE", f"{path}/invitations/{made['id']}")).status_code == 204
    assert (await owner.get(f"{path}/invitations"))["data"] == []
    revoked = await guest.request("POST", "/v1/invitations/accept", json={"token": second})
    assert revoked.status_code == 404
    for method, target in (("DELETE", ""), ("POST", "/resend")):
        gone = await owner.request(method, f"{path}/invitations/{made['id']}{target}")
        assert (gone.status_code, gone.json()["code"]) == (404, "invitation_invalid")
        nonsense = await owner.request(method, f"{path}/invitations/nonsense{target}")
        assert (nonsense.status_code, nonsense.json()["code"]) == (404, "invitation_invalid")


async def test_a_tenant_keeps_an_owner(stage: Stage) -> None:
    owner, path = await company(stage, "keeping")
    alone = await owner.request("POST", f"{path}/leave")
    assert (alone.status_code, alone.json()["code"]) == (409, "last_owner")
    second = await join(stage, owner, "owner")
    assert (await owner.request("POST", f"{path}/leave")).status_code == 204
    assert (await owner.request("GET", path)).status_code == 404
    assert (await second.get(path))["member_count"] == 1
    last = await second.request("PATCH", f"{path}/members/{second.user_id}", json={"role": "admin"})
    assert (last.status_code, last.json()["code"]) == (409, "last_owner")


async def test_a_member_who_is_none_is_not_found(stage: Stage) -> None:
    owner, path = await company(stage, "nobody")
    for user_id in (new_id("user"), new_id("tenant"), "nonsense"):
        for method, body in (("PATCH", {"role": "viewer"}), ("DELETE", None)):
            answer = await owner.request(method, f"{path}/members/{user_id}", json=body)
            assert (answer.status_code, answer.json()["code"]) == (404, "member_not_found"), (method, user_id)


async def test_staff_who_are_no_members_have_nothing_to_leave(stage: Stage) -> None:
    _, path = await company(stage, "visited")
    operator = await stage.operator()
    answer = await operator.request("POST", f"{path}/leave")
    assert (answer.status_code, answer.json()["code"]) == (404, "member_not_found")
