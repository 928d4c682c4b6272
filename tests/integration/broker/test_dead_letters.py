"""Dead letters: one a message, with all of its history; grouped by cause; decided one by one or together."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from prog_broker import dead_letters
from prog_contracts.envelope import wrap
from prog_contracts.errors import Conflict, Invalid, NotFound
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.tenants import RenameTenant
from prog_contracts.topics import topic_of
from prog_kit.database import Database
from tests.integration.broker.conftest import Rig, eventually


@pytest.fixture
def broker(valkey_url: str) -> dict[str, Any]:
    """Redis alone: what is decided here is in the database."""
    return {"redis_url": valkey_url}


@pytest.fixture
async def group(rig: Rig) -> AsyncIterator[Database]:
    database = await Database.connect(rig.settings.database_url, "prog_tenants", max_size=2)
    yield database
    database.pool.terminate()


async def letters(rig: Rig) -> list[dict[str, Any]]:
    rows = await rig.admin.fetch("SELECT * FROM bus.dead_letters ORDER BY recorded_at, id")
    return [dict(row) | {"history": json.loads(row["history"])} for row in rows]


async def dead(rig: Rig, count: int) -> list[dict[str, Any]]:
    """The open letters, once there are so many."""

    async def there() -> bool:
        return bool(await rig.scalar("SELECT count(*) FROM bus.dead_letters WHERE state = 'open'") == count)

    await eventually(there, seconds=60)
    return await letters(rig)


async def send(rig: Rig, tenant: str, *names: str, **options: Any) -> None:
    commands = [RenameTenant(tenant_id=tenant, name=name) for name in names]
    await rig.transport.publisher.send(
        [(topic_of(c), wrap(c, tenant_id=tenant, source="/test", **options)) for c in commands]
    )


async def test_requirement_19_a_group_is_redriven_with_its_history_and_failing_again_does_not_loop(
    rig: Rig, group: Database
) -> None:
    tenants = [new_id("tenant") for _ in range(3)]
    correlation, trace = new_message_id(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    rig.ledger.failing.add("flaky")
    for tenant in tenants:
        await send(rig, tenant, "flaky", correlation_id=correlation, traceparent=trace, actor="ada")
    await rig.worker()
    first = await dead(rig, 3)
    assert len({letter["fingerprint"] for letter in first}) == 1
    for letter in first:
        assert [entry["what"] for entry in letter["history"]] == ["failed"] * 3 + ["buried"]
        assert [entry["attempt"] for entry in letter["history"]] == [1, 2, 3, 4]
    found = await dead_letters.of_cause(group, "tenants", first[0]["fingerprint"])
    ran = rig.ledger.handled.count("flaky")
    decided = await dead_letters.redrive_all(group, found, by="bob")
    assert (len(decided.done), decided.refused) == (3, [])
    again = await dead(rig, 3)
    assert {letter["id"] for letter in again} == {letter["id"] for letter in first}, "one letter a message"
    for letter in again:
        whats = [entry["what"] for entry in letter["history"]]
        assert whats == ["failed", "failed", "failed", "buried", "redriven", "failed", "failed", "failed", "buried"]
        assert letter["history"][4]["by"] == "bob"
        attributes = json.loads(letter["attributes"])
        assert attributes["tenantid"] == letter["tenant_id"] == attributes["partitionkey"]
        assert (attributes["correlationid"], attributes["traceparent"]) == (str(correlation), trace)
        assert letter["correlation_id"] == correlation
    assert rig.ledger.handled.count("flaky") == ran + 3 * 4, "and not once more"
    rig.ledger.failing.clear()
    await dead_letters.redrive_all(group, found, by="bob")
    await eventually(lambda: rig.ledger.handled.count("flaky") == ran + 3 * 4 + 3)
    await eventually(lambda: settled(rig))
    sent = await rig.admin.fetch("SELECT correlation_id, traceparent, actor FROM bus.event_log")
    assert {row["correlation_id"] for row in sent} == {correlation}
    assert {row["traceparent"].split("-")[1] for row in sent} == {trace.split("-")[1]}
    assert {row["actor"] for row in sent} == {"ada"}


async def settled(rig: Rig) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.retries") == 0)


async def test_requirement_20_the_order_of_every_key_is_intact_after_a_group_is_redriven(
    rig: Rig, group: Database
) -> None:
    tenants = [new_id("tenant") for _ in range(3)]
    for tenant in tenants:
        await send(rig, tenant, f"{tenant}-1", "defect", f"{tenant}-2", f"{tenant}-3")
    await send(rig, other := new_id("tenant"), f"{other}-1")
    await rig.worker()
    first = await dead(rig, 3)
    await eventually(lambda: f"{other}-1" in rig.ledger.handled)
    await eventually(lambda: waiting(rig, 6))
    assert not [name for name in rig.ledger.handled if name.endswith(("-2", "-3"))]
    found = await dead_letters.of_cause(group, "tenants", first[0]["fingerprint"])
    for letter_id in found:
        await dead_letters.edit(group, letter_id, mended(await one(rig, letter_id), "mended"), by="ada")
    await dead_letters.redrive_all(group, found, by="bob")
    await eventually(lambda: settled(rig), seconds=30)
    for tenant in tenants:
        mine = [row["name"] for row in await names_of(rig, tenant)]
        assert mine == [f"{tenant}-1", "mended", f"{tenant}-2", f"{tenant}-3"]


async def names_of(rig: Rig, tenant: str) -> Any:
    return await rig.admin.fetch(
        "SELECT convert_from(data, 'UTF8')::jsonb ->> 'name' AS name FROM bus.event_log AS e WHERE tenant_id = $1"
        " ORDER BY e.position",
        tenant,
    )


async def waiting(rig: Rig, count: int) -> bool:
    return bool(await rig.scalar("SELECT count(*) FROM bus.retries WHERE state = 'waiting'") == count)


async def one(rig: Rig, letter_id: Any) -> dict[str, Any]:
    return next(letter for letter in await letters(rig) if letter["id"] == letter_id)


def mended(letter: dict[str, Any], name: str) -> bytes:
    return json.dumps(json.loads(letter["data"]) | {"name": name}).encode()


async def test_an_edit_keeps_what_was_there_and_who_changed_it(rig: Rig, group: Database) -> None:
    tenant = new_id("tenant")
    await send(rig, tenant, "defect")
    await rig.worker()
    letter = (await dead(rig, 1))[0]
    before = letter["data"].decode()
    await dead_letters.edit(group, letter["id"], mended(letter, "better"), by="ada")
    await dead_letters.edit(group, letter["id"], mended(letter, "better"), by="ada")
    edited = await one(rig, letter["id"])
    assert edited["state"] == "open"
    assert json.loads(edited["data"])["name"] == "better"
    told = [entry for entry in edited["history"] if entry["what"] == "edited"]
    assert [(entry["by"], entry["before"]) for entry in told] == [("ada", before)], "the same body is no edit"
    with pytest.raises(Invalid) as refused:
        await dead_letters.edit(group, letter["id"], b'{"tenant_id": "x"}', by="ada")
    assert {field.field for field in refused.value.fields} == {"tenant_id", "name"}, "all that is wrong"
    with pytest.raises(Invalid):
        await dead_letters.edit(group, letter["id"], b"no json", by="ada")
    await dead_letters.redrive(group, letter["id"], by="bob", body=mended(letter, "best"))
    await eventually(lambda: "best" in rig.ledger.handled)
    done = await one(rig, letter["id"])
    assert [entry["what"] for entry in done["history"]] == ["buried", "edited", "edited", "redriven"]
    with pytest.raises(Conflict):
        await dead_letters.edit(group, letter["id"], mended(letter, "late"), by="ada")


async def test_a_group_is_dropped_and_those_behind_go_on(rig: Rig, group: Database) -> None:
    tenants = [new_id("tenant") for _ in range(2)]
    for tenant in tenants:
        await send(rig, tenant, "defect", f"{tenant}-2")
    await rig.worker()
    found = await dead_letters.of_cause(group, "tenants", (await dead(rig, 2))[0]["fingerprint"])
    await eventually(lambda: waiting(rig, 2))
    decided = await dead_letters.drop_all(group, [*found, new_message_id(), found[0]], by="bob")
    assert set(decided.done) == set(found)
    assert [(type(error), error.code) for _, error in decided.refused] == [
        (NotFound, "not_found"), (Conflict, "already_decided")]  # fmt: skip
    await eventually(lambda: settled(rig))
    assert {f"{tenant}-2" for tenant in tenants} <= set(rig.ledger.handled)
    with pytest.raises(NotFound):
        await dead_letters.of_cause(group, "tenants", "0123456789abcdef")


async def test_one_that_cannot_be_read_holds_up_no_other_of_its_group(rig: Rig, group: Database) -> None:
    tenant = new_id("tenant")
    envelope = wrap(RenameTenant(tenant_id=tenant, name="good"), tenant_id=tenant, source="/test")
    for version in (7, 8):
        future = rig.signed(replace(envelope, schema_version=version, id=new_message_id()))
        await rig.put(topic_of(RenameTenant), 0, json.loads(future.attributes()), future.data)
    await rig.worker()
    first = await dead(rig, 2)
    assert {letter["code"] for letter in first} == {"unknown_version"}
    assert "upgrade this consumer and redrive" in first[0]["reason"]
    await rig.admin.execute(
        "UPDATE bus.dead_letters SET attributes = convert_to(replace(convert_from(attributes, 'UTF8'), $1, $2), 'UTF8')"
        " WHERE id = $3",
        '"schemaversion": 7', '"schemaversion": 1', first[0]["id"],
    )  # fmt: skip
    await rig.admin.execute(
        "UPDATE bus.dead_letters SET attributes = convert_to(replace(convert_from(attributes, 'UTF8'), $1, $2), 'UTF8')"
        " WHERE id = $3",
        '"schemaversion": 8', '"schemaversion": 1', first[0]["id"],
    )  # fmt: skip
    decided = await dead_letters.redrive_all(group, [letter["id"] for letter in first], by="bob")
    assert decided.done == [first[0]["id"]]
    assert [letter_id for letter_id, _ in decided.refused] == [first[1]["id"]]
    assert (await one(rig, first[1]["id"]))["state"] == "open", "refused, and as it was"
    await eventually(lambda: "good" in rig.ledger.handled)


async def test_a_letter_of_another_group_is_not_found(rig: Rig, group: Database) -> None:
    await send(rig, new_id("tenant"), "defect")
    await rig.worker()
    letter = (await dead(rig, 1))[0]
    stranger = await Database.connect(rig.settings.database_url, "prog_email", max_size=1)
    try:
        for decide in (dead_letters.redrive, dead_letters.drop):
            with pytest.raises(NotFound):
                await decide(stranger, letter["id"], by="mallory")
        with pytest.raises(NotFound):
            await dead_letters.edit(stranger, letter["id"], letter["data"], by="mallory")
    finally:
        stranger.pool.terminate()
    assert (await one(rig, letter["id"]))["state"] == "open"
