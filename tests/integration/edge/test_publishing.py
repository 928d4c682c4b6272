"""Publishing CloudEvents over HTTP, finding them again, and the schemas that they are held against."""

from __future__ import annotations

import asyncio
import csv
import io
import re
import shlex
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
import pytest_asyncio

from prog_contracts.events import MAX_EVENT_BYTES, MAX_EVENTS
from tests.integration.edge.stage import PASSPHRASE, Person, Stage
from tests.integration.edge.test_events import stream
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
PLACED = "com.acme.order.placed"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(stage: Stage) -> Person:
    person = await stage.person("ada@publishing.example")
    await stage.tenant_of(person, "Publishing Ltd")
    return person


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grace(stage: Stage) -> Person:
    person = await stage.person("grace@publishing.example")
    await stage.tenant_of(person, "Reading Ltd")
    return person


def placed(**changes: Any) -> dict[str, Any]:
    """A fresh event in a stream of its own."""
    event = {"specversion": "1.0", "id": str(uuid4()), "source": "/shop", "type": PLACED, "subject": str(uuid4())}
    return {**event, **changes}


async def send(
    person: Person, body: object, media_type: str = "application/json", **params: str | int
) -> httpx.Response:
    headers = {"Content-Type": media_type}
    return await person.request("POST", "/v1/events", content=orjson.dumps(body), headers=headers, params=params)


async def sent(person: Person, body: object, media_type: str = "application/json", **params: str | int) -> Any:
    answer = await send(person, body, media_type, **params)
    assert answer.status_code == 201, answer.text
    return answer.json()["data"]


async def problems_of(person: Person, body: object, status: int = 422, **options: Any) -> list[tuple[str, str]]:
    answer = await send(person, body, **options)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    return [(item["field"], item["code"]) for item in answer.json()["errors"]]


@pytest.mark.parametrize("media_type", [ONE, f"{ONE}; charset=utf-8", "application/json"])
async def test_one_event_is_stored_and_found_under_both_of_its_ids(ada: Person, media_type: str) -> None:
    event = placed(data={"total": 12.5, "note": None}, region="eu", time="2026-01-31T09:30:00+01:00")
    answer = await send(ada, event, media_type)
    assert answer.status_code == 201, answer.text
    [place] = answer.json()["data"]
    assert answer.headers["location"] == f"/v1/events/{place['message_id']}"
    assert (place["id"], place["source"], place["version"], place["duplicate"]) == (event["id"], "/shop", 1, False)
    found = await ada.get(answer.headers["location"])
    assert found == await ada.get(f"/v1/events/{event['id']}")
    assert found == await ada.get(f"/v1/events/{event['id']}", params={"source": "/shop"})
    assert {name: found[name] for name in event if name != "time"} == {n: v for n, v in event.items() if n != "time"}
    assert found["time"] == "2026-01-31T08:30:00Z"
    assert (found["position"], found["streamversion"]) == (place["position"], 1)


def commands_of_readme() -> list[list[str]]:
    """Each `curl` command of README, as a shell takes it apart."""
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    shells = "".join(re.findall(r"```sh\n(.*?)```", readme, re.S)).replace("\\\n", " ")
    return [shlex.split(line) for line in shells.splitlines() if line.startswith("curl ")]


async def test_readme_s_commands_sign_in_publish_an_event_once_and_make_a_key_that_does(ada: Person) -> None:
    secrets: dict[str, str] = {}
    asked = []
    for _, address, *options in commands_of_readme():
        path = address.partition("8000")[2]
        given = list(zip(options[::2], options[1::2], strict=True))
        headers = dict(text.split(": ", 1) for name, text in given if name == "-H")
        [body] = [text for name, text in given if name == "-d"]
        if path == "/v1/auth/login":
            body = body.replace("ada@example.com", ada.email).replace("…", PASSPHRASE)
            answer = await ada.stage.http.post(path, headers=headers, content=body)
            assert answer.status_code == 200, answer.text
            secrets["$TOKEN"] = answer.json()["access_token"]
            asked.append(path)
            continue
        body = re.sub(r'(?<="expires_at": ")[^"]+', (datetime.now(UTC) + timedelta(days=30)).isoformat(), body)
        credential = headers["Authorization"].removeprefix("Bearer ")
        headers["Authorization"] = f"Bearer {secrets[credential]}"
        asked.append(f"{path} {credential}")
        for again in (False, True):
            answer = await ada.stage.http.post(path, headers=headers, content=body)
            assert answer.status_code == 201, answer.text
            if path == "/v1/api-keys":
                secrets["$API_KEY"] = answer.json()["key"]
                break
            [place] = answer.json()["data"]
            assert (place["type"], place["duplicate"]) == ("com.acme.order.placed", again)
    assert asked == ["/v1/auth/login", "/v1/events $TOKEN", "/v1/api-keys $TOKEN", "/v1/events $API_KEY"]


async def test_a_batch_is_stored_in_its_order(ada: Person) -> None:
    subject = str(uuid4())
    told = await sent(ada, [placed(subject=subject) for _ in range(MAX_EVENTS)], BATCH)
    assert [place["version"] for place in told] == list(range(1, MAX_EVENTS + 1))
    positions = [place["position"] for place in told]
    assert positions == sorted(positions)
    first = await ada.get("/v1/events", params={"stream": subject, "order": "oldest", "limit": 200})
    assert [event["position"] for event in first["data"]] == positions[:200]


async def test_a_bad_batch_names_every_problem_and_stores_nothing(ada: Person) -> None:
    subject = str(uuid4())
    good = placed(subject=subject)
    found = await problems_of(
        ada,
        [
            good,
            placed(type="nodots"),
            placed(specversion="0.3"),
            {},
            5,
            placed(tenantid="x"),
            placed(data_base64="eA=="),
        ],
    )
    assert found == [
        ("1.type", "wrong_format"),
        ("2.specversion", "wrong_version"),
        ("3.specversion", "required"),
        ("3.id", "required"),
        ("3.source", "required"),
        ("3.type", "required"),
        ("4", "wrong_type"),
        ("5.tenantid", "reserved"),
        ("6.data_base64", "not_supported"),
    ]
    assert (await ada.get("/v1/events", params={"stream": subject}))["data"] == []


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"type": "prognetwork.payments.invoice_paid"}, "type", "reserved"),
        ({"source": "/prognetwork/payments"}, "source", "reserved"),
        ({"id": ""}, "id", "too_short"),
        ({"id": "x" * 201}, "id", "too_long"),
        ({"source": "no spaces here"}, "source", "wrong_format"),
        ({"time": "yesterday"}, "time", "wrong_format"),
        ({"time": "2026-01-31T09:30:00"}, "time", "wrong_format"),
        ({"datacontenttype": "text/xml"}, "datacontenttype", "not_supported"),
        ({"data": "x" * MAX_EVENT_BYTES}, "body", "too_large"),
        ({"ext": {"a": 1}}, "ext", "wrong_type"),
        ({"Shouting": "x"}, "extensions", "wrong_name"),
        ({"subject": "a\u0000b"}, "subject", "forbidden_character"),
    ],
)
async def test_what_is_wrong_with_one_event_is_named(
    ada: Person, changes: dict[str, Any], field: str, code: str
) -> None:
    assert await problems_of(ada, placed(**changes)) == [(field, code)]


async def test_what_is_no_request_is_refused(ada: Person) -> None:
    assert await problems_of(ada, []) == [("body", "wrong_count")]
    assert await problems_of(ada, [placed() for _ in range(MAX_EVENTS + 1)]) == [("body", "wrong_count")]
    assert await problems_of(ada, placed(), media_type=BATCH) == [("body", "wrong_type")]
    assert await problems_of(ada, [placed()], media_type=ONE) == [("body", "wrong_type")]
    assert (await send(ada, placed(), "text/plain")).status_code == 415
    assert (await send(ada, [placed(data="x" * 60_000) for _ in range(10)])).status_code == 413
    broken = await ada.request("POST", "/v1/events", content=b"{", headers={"Content-Type": ONE})
    assert (broken.status_code, broken.json()["code"]) == (400, "malformed_json")
    assert (await send(ada, placed(), expected_version="soon")).status_code == 422
    other = await ada.request("POST", "/v1/tenants", content=b"{}", headers={"Content-Type": ONE})
    assert other.status_code == 415, "other routes take JSON alone"


async def test_a_wrong_expected_version_is_told_with_the_right_one(ada: Person) -> None:
    subject = str(uuid4())
    await sent(ada, [placed(subject=subject), placed(subject=subject)], expected_version="none")
    answer = await send(ada, placed(subject=subject), expected_version=1)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_expected_version")
    assert "at version 2" in answer.json()["detail"]
    [place] = await sent(ada, placed(subject=subject), expected_version=2)
    assert place["version"] == 3


async def test_of_parallel_requests_with_one_expectation_one_is_stored(ada: Person) -> None:
    name = str(uuid4())
    answers = await asyncio.gather(*(send(ada, placed(), stream=name, expected_version=0) for _ in range(10)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 9
    assert len((await ada.get("/v1/events", params={"stream": name}))["data"]) == 1


async def test_an_event_sent_again_is_stored_once(ada: Person) -> None:
    event = placed(data={"a": 1})
    [first] = await sent(ada, event)
    [again] = await sent(ada, event)
    assert again == {**first, "duplicate": True}
    changed = await send(ada, {**event, "data": {"a": 2}})
    assert (changed.status_code, changed.json()["code"]) == (409, "event_id_reused")


async def test_nobody_publishes_or_reads_in_another_tenant(ada: Person, grace: Person) -> None:
    event = placed()
    [place] = await sent(ada, event)
    answer = await grace.request("POST", "/v1/events", json=placed(), headers={"Prog-Tenant": str(ada.tenant_id)})
    assert answer.status_code == 404
    for name in (event["id"], place["message_id"]):
        assert (await grace.request("GET", f"/v1/events/{name}")).status_code == 404
    assert (await grace.get("/v1/events", params={"types": "com.acme.*"}))["data"] == []
    [theirs] = await sent(grace, event)
    assert theirs["duplicate"] is False


async def test_lists_are_filtered_and_paged(ada: Person) -> None:
    name = f"com.lists.{uuid4().hex}"
    told = await sent(ada, [placed(type=f"{name}.{kind}", source=f"/{kind}") for kind in ("a", "b", "a")])

    async def positions(**params: Any) -> list[int]:
        page = await ada.get("/v1/events", params={"order": "oldest", **params})
        return [event["position"] for event in page["data"]]

    a, b, c = (place["position"] for place in told)
    assert await positions(types=f"{name}.*") == [a, b, c]
    assert await positions(types=f"{name}.a") == [a, c]
    assert await positions(types=f"{name}.*", source="/b") == [b]
    assert await positions(types=f"{name}.*", after=a) == [b, c]
    assert await positions(types=f"{name}.*", order="newest") == [c, b, a]
    oldest = {"types": f"{name}.*", "order": "oldest", "limit": 1}
    recorded = (await ada.get("/v1/events", params=oldest))["data"][0]["recordedat"]
    assert await positions(types=f"{name}.*", **{"from": recorded}) == [a, b, c]
    assert await positions(types=f"{name}.*", to=recorded) == []
    bad = await ada.request("GET", "/v1/events", params={"from": "yesterday"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "from")


async def test_csv_holds_all_of_them_and_runs_nothing(ada: Person) -> None:
    name = f"com.table.{uuid4().hex}"
    await sent(ada, [placed(type=name, subject="=1+1", data={"a": "x,y"}) for _ in range(450)])
    answer = await ada.request("GET", "/v1/events", params={"types": name, "format": "csv", "limit": 10})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len({row["position"] for row in rows}) == len(rows) == 450
    assert (rows[0]["type"], rows[0]["subject"]) == (name, "'=1+1")
    assert orjson.loads(rows[0]["data"]) == {"a": "x,y"}


async def test_a_stream_shows_beginnings_of_types_and_resumes(ada: Person) -> None:
    name = f"com.live.{uuid4().hex}"
    async with stream(ada, types=f"{name}.*") as events:
        await sent(ada, [placed(type=f"{name}.a"), placed(type="com.live.other"), placed(type=f"{name}.b")])
        first, second = await events.next(), await events.next()
    assert [item["event"] for item in (first, second)] == [f"{name}.a", f"{name}.b"]
    assert first["data"]["source"] == "/shop"
    missed = await sent(ada, [placed(type=f"{name}.c") for _ in range(450)])
    async with stream(ada, second["id"], types=f"{name}.*") as events:
        seen = [int((await events.next())["id"]) for _ in missed]
    assert seen == [place["position"] for place in missed]


async def test_a_client_is_told_when_the_log_has_not_what_it_resumes_after(ada: Person) -> None:
    async with stream(ada, "999999999999") as events:
        told = await events.next()
    assert (told["event"], told["data"]["code"], "id" in told) == ("stream.gap", "gap", False)


SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


async def test_a_registered_schema_is_found_and_events_are_held_against_it(ada: Person, grace: Person) -> None:
    name = f"com.schemas.{uuid4().hex}"
    check = await ada.post("/v1/schemas/check", {"type": name, "schema": SCHEMA})
    assert (check["compatible"], check["version"], check["known"]) == (True, 1, False)
    answer = await ada.request("POST", "/v1/schemas", json={"type": name, "schema": SCHEMA, "compatibility": "FULL"})
    assert (answer.status_code, answer.json()) == (201, {"type": name, "version": 1, "compatibility": "FULL"})
    found = await ada.get(answer.headers["location"])
    assert (found["schema"], found["owner"], found["compatibility"]) == (SCHEMA, "tenant", "FULL")
    assert found == await ada.get(f"/v1/schemas/{name}/latest")
    assert await problems_of(ada, [placed(type=name, data={"total": 1}), placed(type=name)]) == [("1.data", "type")]
    [place] = await sent(ada, placed(type=name, data={"total": 1}))
    assert (await ada.get(f"/v1/events/{place['message_id']}"))["schemaversion"] == 1
    changed = {**SCHEMA, "properties": {"total": {"type": "string"}}}
    refused = await ada.request("POST", "/v1/schemas", json={"type": name, "schema": changed})
    assert (refused.status_code, refused.json()["code"]) == (409, "incompatible_schema")
    assert refused.json()["errors"][0]["field"] == "schema.total"
    check = await ada.post("/v1/schemas/check", {"type": name, "schema": changed})
    assert (check["compatible"], check["problems"][0]["code"]) == (False, "type_changed")
    assert (await grace.request("GET", f"/v1/schemas/{name}/1")).status_code == 404
    mine = await ada.get("/v1/schemas", params={"owner": "tenant", "type": name})
    assert [(item["type"], item["version"]) for item in mine["data"]] == [(name, 1)]


async def test_the_platforms_own_schemas_are_there(ada: Person) -> None:
    listed = (await ada.get("/v1/schemas", params={"owner": "platform"}))["data"]
    assert {item["compatibility"] for item in listed} == {"FULL_TRANSITIVE"}
    for item in (listed[0], listed[-1]):
        found = await ada.get(f"/v1/schemas/{item['type']}/{item['version']}")
        assert found["schema"]["x-prognetwork"]["type"] == item["type"]
    for version in ("0", "99", "99999"):
        assert (await ada.request("GET", f"/v1/schemas/{listed[0]['type']}/{version}")).status_code == 404


async def test_a_bad_schema_is_refused_with_each_problem(ada: Person) -> None:
    bad = {"type": "object", "oneOf": [], "properties": {"a": {"$ref": "http://example.com/x"}}}
    answer = await ada.request("POST", "/v1/schemas", json={"type": "com.acme.bad", "schema": bad})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_schema")
    assert [(item["field"], item["code"]) for item in answer.json()["errors"]] == [
        ("schema.oneOf", "not_supported"),
        ("schema.properties.a.$ref", "unknown_reference"),
    ]
    ours = await ada.request("POST", "/v1/schemas", json={"type": "prognetwork.users.mine", "schema": SCHEMA})
    assert ours.status_code == 422


async def test_who_may_not_change_the_configuration_registers_no_schema(stage: Stage, ada: Person) -> None:
    bob = await stage.person("bob@publishing.example")
    await ada.post(f"/v1/tenants/{ada.tenant_id}/invitations", {"email": bob.email, "role": "member"})
    await bob.post("/v1/invitations/accept", {"token": await stage.token_mailed_to(bob.email, "invite")})
    bob.tenant_id = ada.tenant_id

    async def joined() -> bool:
        return (await bob.request("GET", "/v1/events")).status_code == 200

    await wait_until(joined, what="the membership")
    assert (await send(bob, placed())).status_code == 201
    answer = await bob.request("POST", "/v1/schemas", json={"type": "com.acme.x", "schema": SCHEMA})
    assert answer.status_code == 403
