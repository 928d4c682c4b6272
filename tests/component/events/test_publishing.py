"""Appending tenants' events: streams with versions, one winner among many writers, each event once, schemas held."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
import pytest

from prog_broker.transaction import Transaction
from prog_contracts.envelope import wrap
from prog_contracts.errors import Conflict, ErrorBody
from prog_contracts.events import NewEvent, PublishEvents, RegisterSchema, SchemaRegistered
from prog_contracts.ids import new_id
from prog_kit.database import Database
from prog_kit.secrets import Sealer
from prog_workers.events import appending, queries
from prog_workers.events.app import domain as events
from prog_workers.monitoring.app import domain as monitoring
from tests.component.harness import SECRET_KEYS, Harness
from tests.lasting import kept

OURS, THEIRS = new_id("tenant"), new_id("tenant")
PLACED = "com.acme.order.placed"
WRITERS = 8


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with Harness(postgres, events, monitoring) as platform:
        yield platform


@pytest.fixture
async def edge(platform: Harness) -> AsyncIterator[Database]:
    async with kept().database(platform.url, "prog_edge") as database:
        yield database


def placed(number: int | str, **changes: Any) -> NewEvent:
    return NewEvent(**{"id": str(number), "source": "/shop", "type": PLACED, "subject": "order-1", **changes})


async def publish(
    platform: Harness, *found: NewEvent, expected: int | str | None = None, tenant_id: str = OURS
) -> list[dict[str, Any]]:
    """Publishes and returns what is told of each event."""
    answer = await platform.request(PublishEvents(events=found, expected_version=expected), tenant_id=tenant_id)
    assert answer.status == "succeeded", answer
    assert answer.result is not None
    told: list[dict[str, Any]] = answer.result["events"]
    return told


async def refused(
    platform: Harness, *found: NewEvent, expected: int | str | None = None, tenant_id: str = OURS
) -> ErrorBody:
    answer = await platform.request(PublishEvents(events=found, expected_version=expected), tenant_id=tenant_id)
    assert answer.status == "failed", answer
    assert answer.error is not None
    return answer.error


async def log_of(edge: Database, tenant_id: str = OURS, **filters: Any) -> list[queries.EventRow]:
    async with edge.scope(tenant_id=tenant_id) as connection:
        page = await queries.events(connection, oldest_first=True, limit=500, **filters)
    return list(page.rows)


async def test_each_event_of_a_stream_has_the_next_version(platform: Harness, edge: Database) -> None:
    first = await publish(platform, placed(1), placed(2), placed(3, subject="order-2"))
    more = await publish(platform, placed(4), placed(5, subject=None))
    assert [item["version"] for item in (*first, *more)] == [1, 2, 1, 3, None]
    assert [item["stream"] for item in (*first, *more)] == ["order-1", "order-1", "order-2", "order-1", None]
    rows = await log_of(edge, stream="order-1")
    assert [row.stream_version for row in rows] == [1, 2, 3]
    assert [row.position for row in rows] == [item["position"] for item in (first[0], first[1], more[0])]


async def test_streams_of_tenants_are_apart(platform: Harness) -> None:
    await publish(platform, placed(1))
    [theirs] = await publish(platform, placed(1), tenant_id=THEIRS)
    assert (theirs["version"], theirs["duplicate"]) == (1, False)


async def test_an_event_is_told_as_it_came(platform: Harness, edge: Database) -> None:
    at = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
    sent = placed(
        "A-1", time=at, stream="carts", data={"total": 12.5, "lines": [1, None]}, extensions={"region": "eu"},
        dataschema="https://acme.example/order.json",
    )  # fmt: skip
    [place] = await publish(platform, sent)
    [row] = await log_of(edge)
    assert (row.type, row.source, row.source_id, row.subject) == (PLACED, "/shop", "A-1", "order-1")
    assert row.occurred_at == at
    assert (row.stream, row.stream_version, row.position) == ("carts", 1, place["position"])
    assert row.body == {"total": 12.5, "lines": [1, None]}
    assert row.extensions == {"region": "eu", "dataschema": "https://acme.example/order.json"}
    async with edge.scope(tenant_id=OURS) as connection:
        assert await queries.event_from(connection, "A-1", None) == row
        assert await queries.event_from(connection, "A-1", "/elsewhere") is None
    async with edge.scope(tenant_id=THEIRS) as connection:
        assert await queries.event_from(connection, "A-1", None) is None


@pytest.mark.parametrize(("expected", "passes"), [(2, True), (1, False), (3, False), ("none", False), ("any", True)])
async def test_an_expected_version_must_be_the_streams_last(
    platform: Harness, expected: int | str, passes: bool
) -> None:
    await publish(platform, placed(1), placed(2))
    if passes:
        [third] = await publish(platform, placed(3), expected=expected)
        assert third["version"] == 3
        return
    error = await refused(platform, placed(3), expected=expected)
    assert (error.kind, error.code) == ("conflict", "wrong_expected_version")
    assert "at version 2" in error.message
    assert error.fields[0].message == "2"
    [third] = await publish(platform, placed(3))
    assert third["version"] == 3, "what was refused has used no version up"


@pytest.mark.parametrize("expected", [0, "none"])
async def test_a_stream_that_is_not_there_yet_is_at_zero(platform: Harness, expected: int | str) -> None:
    [first] = await publish(platform, placed(1), expected=expected)
    assert first["version"] == 1


async def test_an_expected_version_is_of_one_stream(platform: Harness) -> None:
    for pair in ((placed(1), placed(2, subject="order-2")), (placed(1), placed(2, subject=None))):
        assert (await refused(platform, *pair, expected=0)).fields[0].code == "one_stream"


async def test_an_event_sent_again_is_stored_once_and_answered_alike(platform: Harness, edge: Database) -> None:
    first = await publish(platform, placed(1, data={"a": 1}), expected="none")
    again = await publish(platform, placed(1, data={"a": 1}), placed(2), expected="any")
    assert again[0] == {**first[0], "duplicate": True}
    assert (again[1]["version"], again[1]["duplicate"]) == (2, False)
    retried = await publish(platform, placed(1, data={"a": 1}), expected="none")
    assert retried == [again[0]], "a retry is answered, and not held against the version that it made itself"
    assert [row.source_id for row in await log_of(edge)] == ["1", "2"]


async def test_another_event_under_a_known_name_is_refused_with_all_of_its_batch(
    platform: Harness, edge: Database
) -> None:
    await publish(platform, placed(1, data={"a": 1}))
    error = await refused(platform, placed(2), placed(1, data={"a": 2}))
    assert (error.code, error.fields[0].field) == ("event_id_reused", "1.id")
    error = await refused(platform, placed(3), placed(3))
    assert error.fields[0].field == "1.id"
    assert [row.source_id for row in await log_of(edge)] == ["1"]


async def append_at_once(url: str, number: int, expected: int | str | None) -> int | Conflict:
    """One writer with a connection of its own, as a process of its own would have."""
    database = await Database.connect(url, "prog_events", max_size=1)
    try:
        command = PublishEvents(events=(placed(f"w{number}"),), expected_version=expected)
        envelope = wrap(command, tenant_id=OURS, source="/test")
        async with database.scope(tenant_id=OURS) as connection:
            tx = Transaction(connection, "events", envelope, datetime.now(UTC), Sealer(SECRET_KEYS))
            [stored] = await appending.append(tx, command.events, expected_version=expected)
        assert stored.version is not None
        return stored.version
    except Conflict as conflict:
        return conflict
    finally:
        await database.close()


@pytest.mark.parametrize("expected", [0, "none"])
async def test_of_many_writers_who_expect_the_same_version_one_wins(
    platform: Harness, edge: Database, expected: int | str
) -> None:
    results = await asyncio.gather(*(append_at_once(platform.url, number, expected) for number in range(WRITERS)))
    conflicts = [result for result in results if isinstance(result, Conflict)]
    assert [result for result in results if isinstance(result, int)] == [1]
    assert {conflict.code for conflict in conflicts} == {"wrong_expected_version"}
    assert all("at version 1" in conflict.message for conflict in conflicts)
    assert len(await log_of(edge)) == 1


async def test_writers_without_an_expectation_get_a_version_each(platform: Harness) -> None:
    results = await asyncio.gather(*(append_at_once(platform.url, number, None) for number in range(WRITERS)))
    assert sorted(result for result in results if isinstance(result, int)) == list(range(1, WRITERS + 1))


async def test_events_reach_other_groups_under_their_own_type_and_figures_under_one(platform: Harness) -> None:
    await publish(platform, placed(1), placed(2, type="com.acme.other"))
    await platform.settle()
    rows = await platform.fetch("SELECT DISTINCT type FROM monitoring.windows WHERE type NOT LIKE 'prognetwork.%'")
    assert [row["type"] for row in rows] == ["(other)"]


async def test_a_story_leads_from_the_command_to_the_events(platform: Harness, edge: Database) -> None:
    order = new_id("order")
    [place] = await publish(platform, placed(1, data={"order": order}))
    for any_id in (order, place["message_id"]):
        async with edge.scope(tenant_id=OURS) as connection:
            story = await queries.story(connection, any_id)
        assert story is not None
        assert [node.type for node in story.walk()] == [PublishEvents.TYPE, PLACED]


async def test_lists_take_beginnings_of_types_times_sources_and_positions(platform: Harness, edge: Database) -> None:
    told = await publish(
        platform, placed(1), placed(2, type="com.acme.order.paid"), placed(3, type="com.acme.cart.filled"),
        placed(4, source="/other"),
    )  # fmt: skip

    async def ids(**filters: Any) -> list[str | None]:
        return [row.source_id for row in await log_of(edge, **filters)]

    assert await ids(types=["com.acme.order.*"]) == ["1", "2", "4"]
    assert await ids(types=["com.acme.order.*", "com.acme.cart.filled"]) == ["1", "2", "3", "4"]
    assert await ids(types=["com.acme.*"], stream="order-1") == ["1", "2", "3", "4"]
    assert await ids(types=["com.nobody.*"]) == []
    assert await ids(source="/other") == ["4"]
    assert await ids(source="/prognetwork/events") == []
    assert await ids(after=told[1]["position"]) == ["3", "4"]
    rows = await log_of(edge)
    assert await ids(since=rows[0].recorded_at) == ["1", "2", "3", "4"]
    assert await ids(until=rows[0].recorded_at) == []


async def test_pages_go_both_ways_without_gap_or_repeat(platform: Harness, edge: Database) -> None:
    await publish(platform, *(placed(number) for number in range(25)))
    for oldest_first in (False, True):
        seen: list[str | None] = []
        cursor: str | None = None
        while True:
            async with edge.scope(tenant_id=OURS) as connection:
                page = await queries.events(
                    connection, types=[PLACED], oldest_first=oldest_first, limit=10, cursor=cursor
                )
            seen += [row.source_id for row in page.rows]
            cursor = page.next_cursor
            if cursor is None:
                break
        wanted = [str(number) for number in range(25)]
        assert seen == (wanted if oldest_first else wanted[::-1])


SCHEMA = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


async def register(platform: Harness, schema: dict[str, Any], **options: Any) -> Any:
    command = RegisterSchema(event_type=PLACED, json_schema=orjson.dumps(schema).decode(), **options)
    return await platform.request(command, tenant_id=options.pop("tenant_id", OURS))


async def test_events_are_held_against_the_newest_schema_of_their_type(platform: Harness, edge: Database) -> None:
    assert (await register(platform, SCHEMA)).result == {"type": PLACED, "version": 1, "compatibility": "BACKWARD"}
    error = await refused(platform, placed(1, data={"total": 1}), placed(2, data={"total": "much"}))
    assert (error.code, error.fields[0].field, error.fields[0].code) == ("breaks_schema", "1.data.total", "type")
    assert "much" not in error.message
    assert not await log_of(edge, types=[PLACED])
    await publish(platform, placed(1, data={"total": 1}), placed(2, type="com.acme.free", data="anything"))
    rows = await log_of(edge, source="/shop")
    assert [row.schema_version for row in rows] == [1, 0]
    await publish(platform, placed(3, data=None), tenant_id=THEIRS)


async def test_an_event_may_name_an_older_version(platform: Harness, edge: Database) -> None:
    await register(platform, SCHEMA)
    wider = {**SCHEMA, "required": [], "properties": {"total": {"type": "number"}, "note": {"type": "string"}}}
    assert (await register(platform, wider)).result["version"] == 2
    await publish(platform, placed(1, data={}), placed(2, data={"total": 1}, schemaversion=1))
    assert [row.schema_version for row in await log_of(edge, types=[PLACED])] == [2, 1]
    cases: tuple[tuple[dict[str, int], int, str], ...] = (({}, 1, "0.data"), ({}, 9, "0.schemaversion"))
    for data, version, field in cases:
        error = await refused(platform, placed(3, data=data, schemaversion=version))
        assert error.fields[0].field == field


async def test_a_schema_that_may_not_follow_is_refused_with_each_problem(platform: Harness) -> None:
    await register(platform, SCHEMA)
    changed = {
        "type": "object",
        "properties": {"total": {"type": "string"}, "more": {"type": "string"}},
        "required": ["total", "more"],
    }
    answer = await register(platform, changed)
    assert (answer.status, answer.error.code) == ("failed", "incompatible_schema")
    assert {(item.field, item.code) for item in answer.error.fields} == {
        ("schema.total", "type_changed"),
        ("schema.more", "required_added"),
    }
    assert (await register(platform, changed, compatibility="NONE")).result["version"] == 2


async def test_a_check_tells_the_same_and_stores_nothing(platform: Harness, edge: Database) -> None:
    told = (await register(platform, SCHEMA, dry_run=True)).result
    assert (told["compatible"], told["known"], told["version"], told["problems"]) == (True, False, 1, [])
    await register(platform, SCHEMA)
    told = (await register(platform, {"type": "array"}, dry_run=True)).result
    assert (told["compatible"], told["problems"][0]["code"]) == (False, "type_changed")
    told = (await register(platform, {"oneOf": []}, dry_run=True)).result
    assert (told["compatible"], told["problems"][0]["code"]) == (False, "not_supported")
    async with edge.scope(tenant_id=OURS) as connection:
        assert [row.version for row in await queries.schemas(connection)] == [1]


async def test_the_same_schema_again_changes_nothing(platform: Harness) -> None:
    await register(platform, SCHEMA)
    assert (await register(platform, dict(reversed(SCHEMA.items())))).result["version"] == 1
    assert len(await platform.events(SchemaRegistered)) == 1


async def test_transitive_modes_look_at_all_versions(platform: Harness) -> None:
    old = {"type": "object", "properties": {"a": {"type": "string"}}}
    gone = {"type": "object", "properties": {}}
    back = {"type": "object", "properties": {"a": {"type": "integer"}}}
    for schema in (old, gone):
        assert (await register(platform, schema)).status == "succeeded"
    answer = await register(platform, back, compatibility="BACKWARD_TRANSITIVE")
    assert answer.error.code == "incompatible_schema"
    assert "version 1" in answer.error.fields[0].message
    assert (await register(platform, back, compatibility="BACKWARD")).status == "succeeded"


async def test_schemas_are_a_tenants_own(platform: Harness, edge: Database) -> None:
    await register(platform, SCHEMA)
    async with edge.scope(tenant_id=THEIRS) as connection:
        assert await queries.schemas(connection) == []
        assert await queries.schema(connection, PLACED) is None
    async with edge.scope(tenant_id=OURS) as connection:
        found = await queries.schema(connection, PLACED)
        assert found is not None
        assert found.schema == SCHEMA
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with edge.scope(tenant_id=OURS) as connection:
            await connection.execute("DELETE FROM bus.event_schemas")


async def test_there_is_a_limit_to_the_types_of_a_tenant(platform: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(appending, "MAX_TYPES", 2)
    await publish(platform, placed(1), placed(2, type="com.acme.b"))
    error = await refused(platform, placed(3, type="com.acme.c"))
    assert error.code == "too_many_types"
    await publish(platform, placed(4))
