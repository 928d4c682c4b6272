"""Who may publish commands: what a stranger, a forger and a known producer get, on the real worker."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from prog_broker import producers
from prog_broker.producers import Rights
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id, new_message_id
from prog_contracts.signing import PLATFORM_PRODUCER, SigningKey
from prog_contracts.tenants import RenameTenant
from prog_contracts.topics import TOPICS
from prog_kit.secrets import producer_keys
from prog_kit.settings import Settings
from tests.integration.broker.conftest import Rig, eventually, running

COMMANDS = TOPICS["prog.tenants.commands"]
SECRET_KEYS = ("0123456789abcdef" * 4,)
MINE, THEIRS = new_id("tenant"), new_id("tenant")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "producers.json"
    rights = Rights(types=("prognetwork.tenants.rename_*",), tenants=(MINE,))
    anything = {"everywhere": Rights(types=("*",), tenants=("*",))}
    mail = {"mailer": Rights(types=("prognetwork.email.*",), tenants=("*",))}
    producers.write(path, {"shop": rights} | anything | mail)
    return path


@pytest.fixture
async def rig(postgres: str, broker: dict[str, Any], file: Path) -> AsyncIterator[Rig]:
    settings = Settings(
        database_url=postgres, **broker, secret_keys=SECRET_KEYS, producers_file=str(file), lease_seconds=1.0
    )
    async with running(settings) as rig:
        yield rig


def key(name: str, generation: int = 1) -> SigningKey:
    return SigningKey(name, producer_keys(SECRET_KEYS, name, generation)[0])


def command(name: str, tenant_id: str, **more: Any) -> Envelope:
    return wrap(RenameTenant(tenant_id=tenant_id, name=name), tenant_id=tenant_id, source="/shop", **more)


async def put(rig: Rig, envelope: Envelope, **changes: Any) -> None:
    attributes = json.loads(envelope.attributes()) | changes
    partition = COMMANDS.partition_of(envelope.partition_key)
    await rig.put(COMMANDS, partition, attributes, envelope.data)


def break_it(file: Path) -> None:
    file.write_text("{ this is broken")


async def letters(rig: Rig) -> list[tuple[str, str]]:
    rows = await rig.admin.fetch("SELECT code, tenant_id FROM bus.dead_letters ORDER BY recorded_at")
    return [(row["code"], row["tenant_id"]) for row in rows]


async def test_a_known_producer_s_command_is_handled(rig: Rig) -> None:
    await rig.worker()
    await put(rig, key("shop").signed(command("from the shop", MINE, actor="user_zoë")))
    await eventually(lambda: rig.ledger.handled == ["from the shop"], seconds=60)
    assert await letters(rig) == []


async def test_strangers_and_forgers_get_a_dead_letter_and_the_partition_goes_on(rig: Rig) -> None:
    await rig.worker()
    good = key("shop").signed(command("x", MINE))
    await put(rig, command("unsigned", MINE))
    await put(rig, key("stranger").signed(command("stranger", MINE)))
    await put(rig, key("shop", generation=2).signed(command("a key that is not out yet", MINE)))
    await put(rig, good, actor="user_somebody_else")
    await put(rig, good, tenantid=THEIRS)
    await put(rig, good, signature="é" * 64)
    await put(rig, good, producer="everywhere")
    await put(rig, good, producer=PLATFORM_PRODUCER)
    await put(rig, key("shop").signed(command("their tenant", THEIRS)))
    await put(rig, key("everywhere").signed(command("the platform's own", PLATFORM_TENANT_ID)))
    await put(rig, key("mailer").signed(command("not its business", MINE)))
    await put(rig, key("shop").signed(command("old", MINE, now=datetime.now(UTC) - timedelta(days=8))))
    await put(rig, key("shop").signed(command("to come", MINE, now=datetime.now(UTC) + timedelta(hours=1))))
    for tenant in (MINE, THEIRS, PLATFORM_TENANT_ID):
        assert (await rig.rename("after", tenant, wait_seconds=60)).status == "succeeded"
    assert rig.ledger.handled == ["after"] * 3
    found = await letters(rig)
    codes = sorted({code for code, _ in found})
    assert codes == ["bad_signature", "forbidden_type", "forged_tenant", "stale", "unknown_producer"]
    assert {tenant for _, tenant in found} == {PLATFORM_TENANT_ID}, "no trace with whom they name"


async def test_a_forger_cannot_use_up_the_id_of_somebody_s_command(rig: Rig) -> None:
    await rig.worker()
    message_id = new_message_id()
    await put(rig, command("forged", MINE, message_id=message_id))
    assert (await rig.rename("true", MINE, message_id=message_id, wait_seconds=60)).status == "succeeded"
    assert rig.ledger.handled == ["true"]


async def test_who_is_made_known_or_taken_back_while_the_worker_runs_is_so_at_once(rig: Rig, file: Path) -> None:
    await rig.worker()

    async def sent(name: str, generation: int) -> str | None:
        """What became of a new command of `name`: None when it was handled, else the letter's code."""
        envelope = key(name, generation).signed(command(f"by {name}", MINE))
        await put(rig, envelope)
        found: list[str | None] = []

        async def known() -> bool:
            handled = await rig.scalar("SELECT true FROM bus.inbox WHERE message_id = $1", envelope.id)
            code = await rig.scalar("SELECT code FROM bus.dead_letters WHERE message_id = $1", envelope.id)
            if handled or code:
                found.append(code)
            return bool(found)

        await eventually(known, seconds=60)
        return found[0]

    async def comes_to(expected: str | None, name: str, generation: int = 1) -> None:
        async def so() -> bool:
            return await sent(name, generation) == expected

        await eventually(so, seconds=60)

    assert await sent("crm", 1) == "unknown_producer"
    known = producers.read(file)
    producers.write(file, known | {"crm": Rights(types=("*",), tenants=("*",))})
    await comes_to(None, "crm")
    producers.write(file, known | {"crm": Rights(types=("*",), tenants=("*",), generation=2)})
    await comes_to("bad_signature", "crm")
    assert await sent("crm", 2) is None
    break_it(file)
    assert await sent("crm", 2) is None, "a broken file changes nothing"
    producers.write(file, known)
    await comes_to("unknown_producer", "crm", 2)


async def test_an_operator_may_let_a_refused_command_in(rig: Rig) -> None:
    from prog_broker import dead_letters
    from prog_kit.database import Database

    await rig.worker()
    await put(rig, command("let in", MINE))
    await eventually(lambda: rig.scalar("SELECT true FROM bus.dead_letters"), seconds=60)
    group = await Database.connect(rig.settings.database_url, "prog_tenants", max_size=1)
    await dead_letters.redrive(group, await rig.scalar("SELECT id FROM bus.dead_letters"), by="operator")
    await eventually(lambda: rig.ledger.handled == ["let in"], seconds=60)
    await group.close()
