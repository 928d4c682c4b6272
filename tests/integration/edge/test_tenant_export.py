"""A tenant's data over HTTP: asked for, collected by the workers, fetched by owners as a file that can be verified."""

from __future__ import annotations

import hashlib
import io
import zipfile
from typing import Any

import orjson
import pytest

from prog_contracts.ids import new_id
from prog_workers.tenants.handlers import exporting
from tests.integration.edge.stage import Person, Stage
from tests.integration.edge.test_account_ending import code_of
from tests.integration.edge.test_lifecycle import stale
from tests.integration.edge.test_roles import browser_of, join
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def ready(person: Person, path: str) -> dict[str, Any]:
    """The export, when it is ready."""
    told: list[dict[str, Any]] = []

    async def done() -> bool:
        told.append(await person.get(path))
        return bool(told[-1]["status"] == "ready")

    await wait_until(done, within_seconds=60, what="the export")
    return told[-1]


async def test_owners_take_the_tenant_s_data_along_and_nobody_else_s(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "STEP_BYTES", 2000)  # many steps
    monkeypatch.setattr(exporting, "PART_BYTES", 500)
    owner, other = await stage.person("owner@along.example"), await stage.person("owner@stays.example")
    await stage.tenant_of(owner, "Along Ltd")
    await stage.tenant_of(other, "Stays Ltd")
    key = await owner.post("/v1/api-keys", {"name": "Import", "scopes": ["event.publish"]})
    for person in (owner, other):
        event = {
            "specversion": "1.0",
            "id": "1",
            "source": "/shop",
            "type": "com.shop.sold",
            "data": {"n": person.email},
        }
        published = await person.request(
            "POST", "/v1/events", content=orjson.dumps(event), headers={"Content-Type": "application/cloudevents+json"}
        )
        assert published.status_code in (200, 201), published.text
    assert owner.tenant_id is not None
    assert other.tenant_id is not None
    exports = f"/v1/tenants/{owner.tenant_id}/exports"
    begun = await owner.request("POST", f"/v1/tenants/{owner.tenant_id}/export", headers={"Idempotency-Key": "once"})
    assert begun.status_code == 201, begun.text
    assert begun.headers["location"] == f"{exports}/{begun.json()['id']}"
    export = await ready(owner, begun.headers["location"])
    assert export["tables"] == export["tables_done"] > 30
    [listed] = (await owner.get(exports))["data"]
    assert listed == export
    fetched = {"Idempotency-Key": new_id("key")}
    file = await owner.request("POST", f"{exports}/{export['id']}/file", headers=fetched)
    retried = await owner.request("POST", f"{exports}/{export['id']}/file", headers=fetched)
    assert (retried.status_code, retried.json()["code"]) == (409, "idempotency_answer_gone"), "each fetch is recorded"
    assert (file.status_code, file.headers["content-type"]) == (200, "application/zip")
    assert file.headers["cache-control"] == "no-store"
    assert owner.tenant_id in file.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
        assert archive.testzip() is None
        manifest = orjson.loads(archive.read("manifest.json"))
        contents = {each["name"]: archive.read(each["name"]) for each in manifest["files"]}
        assert set(archive.namelist()) == {"README.txt", "manifest.json", *contents}
    assert manifest["tenant_id"] == owner.tenant_id
    assert manifest["schema_versions"]["tenants"] >= 11
    assert manifest["left_out"]["bus.tenant_keys"] == "secrets"
    for each in manifest["files"]:
        content = contents[each["name"]]
        assert (len(content), content.count(b"\n")) == (each["bytes"], each["rows"])
        assert hashlib.sha256(content).hexdigest() == each["sha256"]
    assert sum(each["rows"] for each in manifest["files"]) == export["rows"]
    [member] = map(orjson.loads, contents["tenants.members.jsonl"].splitlines())
    assert member["email"] == owner.email
    [sold] = map(orjson.loads, contents["bus.event_log.jsonl"].splitlines())
    assert (sold["type"], sold["data"]) == ("com.shop.sold", {"n": owner.email})
    everything = b"".join(contents.values()).decode()
    for foreign in (other.email, other.tenant_id, other.user_id, "Stays Ltd", key["key"], key["key"].split("_")[-1]):
        assert foreign not in everything

    async def told() -> bool:
        actions = {entry["action"] for entry in (await owner.get("/v1/audit", params={"limit": 100}))["data"]}
        wanted = {"tenant_export_requested", "tenant_export_ready", "tenant_export_fetched"}
        return {f"tenants.{name}" for name in wanted} <= actions

    await wait_until(told, within_seconds=60, what="the audit trail")
    letters = (await stage.http.get("/v1/mailbox", params={"to": owner.email})).json()["data"]
    assert any(letter["subject"] == "The data of Along Ltd are ready" for letter in letters)


async def test_a_file_is_an_owner_s_who_is_one_now_and_has_signed_in_just_now(stage: Stage) -> None:
    owner = await stage.person("owner@guarded.example")
    await stage.tenant_of(owner, "Guarded Ltd")
    former, admin = await join(stage, owner, "admin"), await join(stage, owner, "admin")
    members = f"/v1/tenants/{owner.tenant_id}/members"
    promoted = await owner.request("PATCH", f"{members}/{former.user_id}", json={"role": "owner"})
    assert promoted.status_code == 200, promoted.text
    export = await owner.post(f"/v1/tenants/{owner.tenant_id}/export")
    address = f"/v1/tenants/{owner.tenant_id}/exports/{export['id']}"
    await ready(owner, address)
    stage.platform.memberships.forget(former.user_id)
    assert (await former.request("POST", f"{address}/file")).status_code == 200
    assert await code_of(admin, "POST", f"{address}/file") == (403, "denied")
    operator = await stage.operator()
    assert await code_of(operator, "POST", f"{address}/file") == (403, "not_permitted"), "staff sees that there is one"
    assert (await operator.get(address))["status"] == "ready"
    demoted = await owner.request("PATCH", f"{members}/{former.user_id}", json={"role": "admin"})
    assert demoted.status_code == 200
    assert (await former.request("POST", f"{address}/file")).status_code == 403, "whatever the edge remembers"
    stranger = await stage.person("stranger@guarded.example")
    assert (await stranger.request("POST", f"{address}/file")).status_code == 404
    unknown = f"/v1/tenants/{owner.tenant_id}/exports/{new_id('export')}"
    assert await code_of(owner, "GET", unknown) == (404, "export_not_found")
    assert await code_of(owner, "POST", f"{unknown}/file") == (409, "export_not_ready")
    assert await code_of(owner, "POST", f"/v1/tenants/{owner.tenant_id}/exports/x/file") == (404, "export_not_found")
    async with browser_of(owner) as browser:
        page = (await browser.get(f"/account/tenants/{owner.tenant_id}/export")).text
        token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
        action = f"/account/tenants/{owner.tenant_id}/export/{export['id']}"
        file = await browser.post(action, data={"csrf_token": token})
        assert file.content.startswith(b"PK")
    await stale(stage, owner)
    assert await code_of(owner, "POST", f"{address}/file") == (403, "fresh_sign_in_required")
    assert await code_of(owner, "POST", f"/v1/tenants/{owner.tenant_id}/export") == (403, "fresh_sign_in_required")
