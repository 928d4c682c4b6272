"""Operators decide about dead letters and replays over the API; nobody else does."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from prog_broker import sql
from prog_contracts.envelope import wrap
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant
from prog_edge.api.stories import readable, restored
from prog_kit.pages import encode_cursor
from tests.integration.edge.stage import Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(stage: Stage) -> Person:
    return await stage.operator()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def admin(stage: Stage, module_postgres: str) -> Any:
    connection = await asyncpg.connect(module_postgres)
    yield connection
    await connection.close()


async def buried(admin: Any, count: int = 1, *, fingerprint: str) -> list[str]:
    """Dead letters of the tenants group whose handler had failed, as the carrier writes them."""
    ids = []
    for _ in range(count):
        tenant = new_id("tenant")
        envelope = wrap(RenameTenant(tenant_id=tenant, name="Acme"), tenant_id=tenant, source="/test")
        letter_id = new_message_id()
        await admin.execute(
            sql.BURY, letter_id, "tenants", tenant, envelope.id, envelope.type, "prog.tenants.commands", 0, tenant,
            envelope.correlation_id, 8, "unexpected_exception", "RuntimeError: no", fingerprint, "Traceback",
            envelope.attributes(), envelope.data, '{"what": "buried", "attempt": 8}',
        )  # fmt: skip
        ids.append(str(letter_id))
    return ids


async def test_letters_of_one_cause_are_listed_edited_and_redriven_together(operator: Person, admin: Any) -> None:
    ids = await buried(admin, 3, fingerprint="cause1")
    groups = (await operator.get("/v1/dead-letters/groups"))["data"]
    (group,) = [group for group in groups if group["fingerprint"] == "cause1"]
    assert (group["count"], group["tenants"], group["sample_id"]) == (3, 3, ids[-1])
    page = await operator.get("/v1/dead-letters", params={"fingerprint": "cause1", "limit": 2})
    assert [letter["id"] for letter in page["data"]] == [ids[2], ids[1]]
    older = await operator.get(
        "/v1/dead-letters", params={"fingerprint": "cause1", "limit": 2, "cursor": page["next_cursor"]}
    )
    assert [letter["id"] for letter in older["data"]] == [ids[0]]
    body = page["data"][0]["body"] | {"name": "Better"}
    edited = await operator.request("PATCH", f"/v1/dead-letters/{ids[2]}", json={"body": body})
    assert edited.status_code == 200, edited.text
    assert edited.json()["body"]["name"] == "Better"
    assert [(entry["what"], entry.get("by")) for entry in edited.json()["history"]] == [
        ("buried", None), ("edited", operator.user_id)]  # fmt: skip
    broken = await operator.request("PATCH", f"/v1/dead-letters/{ids[2]}", json={"body": {"name": 7}})
    assert broken.status_code == 422
    assert {problem["field"] for problem in broken.json()["errors"]} == {"tenant_id", "name"}
    done = await operator.post("/v1/dead-letters/redrive", {"group": "tenants", "fingerprint": "cause1"})
    assert (done["done"], done["refused"], done["more"]) == (ids, [], False)
    letter = await operator.get(f"/v1/dead-letters/{ids[0]}")
    assert letter["history"][1]["what"] == "redriven"
    assert letter["history"][1]["by"] == operator.user_id


async def test_what_is_sealed_stays_sealed_when_the_rest_is_edited() -> None:
    original = {"email": "a@b", "sealed_password": "secret"}
    shown = readable(original)
    assert shown["sealed_password"] != "secret"
    assert restored(shown | {"email": "c@d"}, original) == {"email": "c@d", "sealed_password": "secret"}
    assert restored({"sealed_password": "new"}, original) == {"sealed_password": "new"}


async def test_the_history_of_a_letter_keeps_sealed_what_the_letter_does(operator: Person, admin: Any) -> None:
    (letter_id,) = await buried(admin, fingerprint="cause4")
    sealed = b'{"email": "ada@example.com", "sealed_password": "the sealed text"}'
    await admin.execute("UPDATE bus.dead_letters SET data = $2 WHERE id = $1", letter_id, sealed)
    body = {"tenant_id": new_id("tenant"), "name": "Better"}
    edited = await operator.request("PATCH", f"/v1/dead-letters/{letter_id}", json={"body": body})
    assert edited.status_code == 200, edited.text
    assert "the sealed text" not in edited.text
    assert "ada@example.com" in edited.json()["history"][-1]["before"]


async def test_letters_are_dropped_by_id_and_a_decided_one_is_refused(operator: Person, admin: Any) -> None:
    first, second = await buried(admin, 2, fingerprint="cause2")
    done = await operator.post("/v1/dead-letters/drop", {"ids": [first]})
    assert done["done"] == [first]
    done = await operator.post("/v1/dead-letters/drop", {"ids": [first, second]})
    assert (done["done"], [item["code"] for item in done["refused"]]) == ([second], ["already_decided"])


async def test_a_retried_decision_is_taken_once(operator: Person, admin: Any) -> None:
    (letter_id,) = await buried(admin, fingerprint="cause3")
    headers = {**operator.headers, "Idempotency-Key": str(uuid4())}
    answers = [
        await operator.request("POST", "/v1/dead-letters/drop", json={"ids": [letter_id]}, headers=headers)
        for _ in range(2)
    ]
    assert [answer.json()["done"] for answer in answers] == [[letter_id], [letter_id]]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"group": "tenants"}, 422),
        ({"ids": ["nonsense"]}, 422),
        ({"ids": [str(uuid4())], "fingerprint": "x", "group": "tenants"}, 422),
        ({"ids": [str(uuid4())]}, 404),
        ({"group": "tenants", "fingerprint": "unheard"}, 404),
        ({"group": "nobody", "fingerprint": "cause1"}, 422),
    ],
)
async def test_a_choice_of_letters_that_makes_no_sense_is_refused(
    operator: Person, body: dict[str, Any], status: int
) -> None:
    for path in ("/v1/dead-letters/redrive", "/v1/dead-letters/drop"):
        answer = await operator.request("POST", path, json=body)
        assert answer.status_code == status, answer.text


async def test_a_replay_is_started_watched_and_ends(operator: Person) -> None:
    started = await operator.request("POST", "/v1/replays", json={"group": "events", "reason": "a test", "reset": True})
    assert started.status_code == 201, started.text
    path = f"/v1/replays/{started.json()['id']}"

    async def done() -> bool:
        return bool((await operator.get(path))["state"] == "done")

    await wait_until(done, within_seconds=60, what="the replay to end")
    replay = await operator.get(path)
    assert replay["requested_by"] == operator.user_id
    assert replay["done"] == replay["total"] > 0
    assert replay["id"] in [item["id"] for item in (await operator.get("/v1/replays"))["data"]]
    assert (await operator.request("POST", f"{path}/pause")).status_code == 409
    assert (await operator.request("POST", f"{path}/cancel", json={"leave_incomplete": True})).status_code == 409


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"group": "nobody", "reason": "x"}, "invalid"),
        ({"group": "users", "reason": "x"}, "not_replayable"),
        ({"group": "monitoring", "reason": "x"}, "needs_reset"),
        ({"group": "events", "reason": "x", "scope": {"from_position": 9, "to_position": 3}}, "invalid"),
        ({"group": "events", "reason": "x", "scope": {"from_position": 10**12}}, "nothing_to_replay"),
        ({"group": "events", "reason": "x", "reset": True, "scope": {"from_position": 1}}, "reset_needs_everything"),
    ],
)
async def test_a_replay_that_makes_no_sense_is_refused(operator: Person, body: dict[str, Any], code: str) -> None:
    answer = await operator.request("POST", "/v1/replays", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text


async def test_a_cursor_of_another_list_is_refused(operator: Person) -> None:
    for cursor in (encode_cursor("x", "y"), encode_cursor("2026-01-01T00:00:00+00:00", "user_1"), encode_cursor(1)):
        for path in ("/v1/replays", "/v1/dead-letters"):
            answer = await operator.request("GET", path, params={"cursor": cursor})
            assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "cursor")


async def test_only_operators_decide(stage: Stage, operator: Person) -> None:
    customer = await stage.person("customer@deciding.example")
    for method, path, body in (
        ("GET", "/v1/replays", None),
        ("POST", "/v1/replays", {"group": "events", "reason": "x"}),
        ("POST", f"/v1/replays/{uuid4()}/cancel", {}),
        ("GET", "/v1/dead-letters/groups", None),
        ("POST", "/v1/dead-letters/redrive", {"ids": [str(uuid4())]}),
        ("PATCH", f"/v1/dead-letters/{uuid4()}", {"body": {}}),
    ):
        assert (await customer.request(method, path, json=body)).status_code == 403, path
        assert (await stage.http.request(method, path, json=body)).status_code == 401, path
    for action in ("pause", "resume", "cancel"):
        assert (await operator.request("POST", f"/v1/replays/{uuid4()}/{action}")).status_code == 404
