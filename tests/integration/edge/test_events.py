"""The event log over HTTP: lists, one event, the live stream and stories."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import orjson
import pytest
import pytest_asyncio

from prog_contracts.ids import new_id
from tests.integration.edge.stage import Person, Stage
from tests.waiting import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="module")

RENAMED = "prognetwork.tenants.tenant_updated"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ada(stage: Stage) -> Person:
    person = await stage.person("ada@events.example")
    await stage.tenant_of(person, "Events Ltd")
    return person


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def grace(stage: Stage) -> Person:
    person = await stage.person("grace@events.example")
    await stage.tenant_of(person, "Other Ltd")
    return person


async def rename(person: Person, name: str) -> None:
    answer = await person.request("PATCH", f"/v1/tenants/{person.tenant_id}", json={"name": name})
    assert answer.status_code == 200, answer.text


class Stream:
    """A client of the stream. `next` is the next event; comments are passed over."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self._lines = response.aiter_lines()

    async def connected(self) -> None:
        async for line in self._lines:
            if line.startswith(": connected"):
                return

    async def next(self, within_seconds: float = 10) -> dict[str, Any]:
        async with asyncio.timeout(within_seconds):
            found: dict[str, Any] = {}
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if not line and "data" in found:
                    return found
                if name in ("id", "event"):
                    found[name] = value
                elif name == "data":
                    found["data"] = orjson.loads(value)
        raise AssertionError("the stream has ended")


@asynccontextmanager
async def stream(person: Person, last_event_id: str | None = None, **filters: str) -> AsyncIterator[Stream]:
    headers = {**person.headers, **({"Last-Event-ID": last_event_id} if last_event_id else {})}
    async with person.stage.http.stream("GET", "/v1/events/stream", params=filters, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        found = Stream(response)
        await found.connected()
        yield found


async def test_events_are_listed_page_by_page(ada: Person) -> None:
    for number in range(3):
        await rename(ada, f"Name {number}")
    whole = (await ada.get("/v1/events", params={"types": RENAMED}))["data"]
    names = [event["data"]["name"] for event in whole]
    assert names[:3] == ["Name 2", "Name 1", "Name 0"]
    first = await ada.get("/v1/events", params={"types": RENAMED, "limit": 2})
    second = await ada.get("/v1/events", params={"types": RENAMED, "limit": 2, "cursor": first["next_cursor"]})
    assert [event["id"] for event in (*first["data"], *second["data"])] == [event["id"] for event in whole[:4]]
    one = await ada.get(f"/v1/events/{whole[0]['id']}")
    assert one == whole[0]
    assert (one["specversion"], one["tenantid"], one["subject"]) == ("1.0", ada.tenant_id, ada.tenant_id)
    bad = await ada.request("GET", "/v1/events", params={"cursor": "nonsense"})
    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "cursor")


async def test_a_stream_shows_what_happens_in_the_own_tenant_alone(ada: Person, grace: Person) -> None:
    async with stream(ada, types=RENAMED) as events:
        await rename(grace, "Not for Ada")
        await rename(ada, "For Ada")
        event = await events.next()
    assert event["event"] == RENAMED
    assert event["data"]["data"]["name"] == "For Ada"
    assert event["data"]["tenantid"] == ada.tenant_id


async def test_a_stream_resumes_after_the_last_event_seen(ada: Person, grace: Person) -> None:
    async with stream(ada, types=RENAMED) as events:
        await rename(ada, "Seen")
        seen = await events.next()
    await rename(ada, "Missed 1")
    await rename(grace, "Missed by nobody here")
    await rename(ada, "Missed 2")
    async with stream(ada, seen["id"], types=RENAMED) as events:
        await rename(ada, "Live")
        names = [(await events.next())["data"]["data"]["name"] for _ in range(3)]
    assert names == ["Missed 1", "Missed 2", "Live"]


async def test_a_position_of_another_tenant_gives_nothing_away(ada: Person, grace: Person) -> None:
    theirs = (await grace.get("/v1/events", params={"limit": 1}))["data"][0]["position"]
    async with stream(ada, str(theirs)) as events:
        assert (await events.next())["event"] == "stream.gap", "as for one that nobody has"
        await rename(ada, "After")
        assert (await events.next())["data"]["tenantid"] == ada.tenant_id


async def test_an_id_that_is_none_of_ours_starts_from_now(ada: Person) -> None:
    for last_event_id in ("\u00b2", "9" * 5000, "-1", "first"):
        headers = [(name.encode(), value.encode()) for name, value in ada.headers.items()]
        headers.append((b"Last-Event-ID", last_event_id.encode("latin-1")))
        async with ada.stage.http.stream("GET", "/v1/events/stream", headers=headers) as response:
            assert response.status_code == 200


async def test_a_stream_is_filtered_by_subject(ada: Person) -> None:
    async with stream(ada, subject=new_id("invoice")) as events:
        await rename(ada, "Unwanted")
        with pytest.raises(TimeoutError):
            await events.next(within_seconds=1)


async def test_a_client_that_leaves_leaves_nothing_behind(stage: Stage, ada: Person) -> None:
    listeners = stage.platform.tail._listeners
    async with stream(ada), stream(ada):
        assert len(listeners) == 2
    await wait_until(lambda: not listeners, what="the listeners to be gone")


async def test_a_stream_ends_with_the_process(stage: Stage, ada: Person) -> None:
    async with stream(ada, types=RENAMED) as events:
        stage.platform.tail.end_all()
        with pytest.raises(AssertionError, match="the stream has ended"):
            await events.next()


async def test_unknown_parameters_are_refused(ada: Person) -> None:
    answer = await ada.request("GET", "/v1/events", params={"typ": "x"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "typ", "code": "unknown_field", "message": "There is no such field."}]


@pytest.mark.parametrize("any_id", ["nonsense", "tenant_01jd7z4c8nf3ktv9q2m6x0r5we", "a%00b", "0" * 36])
async def test_nothing_is_known_of_an_unknown_id(ada: Person, any_id: str) -> None:
    assert (await ada.request("GET", f"/v1/story/{any_id}")).status_code in (404, 422)


async def test_the_story_of_a_tenant_begins_with_its_creation(ada: Person) -> None:
    story = await ada.get(f"/v1/story/{ada.tenant_id}")
    created = next(root for root in story["roots"] if root["type"] == "prognetwork.tenants.create_tenant")
    assert created["actor"] == ada.user_id
    assert created["body"] is None
    types = {child["type"] for child in created["children"]}
    assert types >= {"prognetwork.tenants.tenant_created", "prognetwork.tenants.provision_tenant"}
