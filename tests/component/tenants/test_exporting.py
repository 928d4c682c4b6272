"""A tenant's data, collected in steps: all that is the tenant's, nothing else, and no secret."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import orjson
import pytest

from prog_broker.replies import Answer
from prog_contracts.email import SendMail
from prog_contracts.erasure import ForgetMember, Person
from prog_contracts.events import NewEvent, PublishEvents
from prog_contracts.exports import (
    CollectTenantExport,
    ExpireTenantExport,
    ExportTenant,
    FetchTenantExport,
    TenantExportExpired,
    TenantExportFailed,
    TenantExportFetched,
    TenantExportReady,
    TenantExportRequested,
)
from prog_contracts.ids import new_id
from prog_contracts.permissions import ROLES
from prog_contracts.tenants import TenantRole
from prog_kit.database import Database
from prog_kit.secrets import PERSON
from prog_workers.email.handlers import email
from prog_workers.events.handlers import events
from prog_workers.payments.app import domain as payments
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.handlers.domain import use_gateway
from prog_workers.tenants import queries, store
from prog_workers.tenants.handlers import exporting, tenants
from prog_workers.tenants.store import exports
from prog_workers.users.handlers import users
from tests.component.harness import Harness
from tests.component.tenants.company import START, Company, code, staff

DOMAINS = (users, tenants, payments, email, events)


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with Harness(postgres, *DOMAINS, at=START) as platform:
        database = await Database.connect(postgres, "prog_payments", max_size=2)
        use_gateway(Sandbox(database))
        yield platform
        await database.close()


async def busy(platform: Harness, name: str) -> Company:
    """A tenant with rows in every domain, secrets among them."""
    company = Company(platform, name=name, owner_email=f"owner@{name}.example")
    await company.open()
    await company.set_clock(START)
    await company.invite(f"guest@{name}.example")
    published = PublishEvents(
        events=tuple(
            NewEvent(id=str(n), source="/shop", type=f"com.{name}.thing", data={"n": n, "of": name}) for n in range(5)
        )
    )
    assert (await company.send(published)).status == "succeeded"
    await platform.settle()
    return company


async def ask(company: Company, actor: str | None = None) -> tuple[str, Answer]:
    export_id = new_id("export")
    return export_id, await company.send(ExportTenant(tenant_id=company.tenant_id, export_id=export_id), actor)


async def exported(company: Company) -> str:
    export_id, answer = await ask(company)
    assert answer.status == "succeeded", answer
    assert answer.result is not None
    assert answer.result["export_id"] == export_id
    await company.platform.settle()
    return export_id


async def fetch(company: Company, export_id: str, actor: str | None = None) -> Answer:
    return await company.send(FetchTenantExport(tenant_id=company.tenant_id, export_id=export_id), actor)


async def rows(platform: Harness, export_id: str) -> dict[str, list[dict[str, Any]]]:
    """What an export has, by table."""
    parts = await platform.fetch(
        "SELECT table_name, row_count, content FROM tenants.export_parts WHERE export_id = $1 ORDER BY number",
        export_id,
    )
    found: dict[str, list[dict[str, Any]]] = {}
    for part in parts:
        lines = [orjson.loads(line) for line in part["content"].splitlines()]
        assert len(lines) == part["row_count"]
        found.setdefault(part["table_name"], []).extend(lines)
    return found


async def as_exporter(domain: Database, tenant_id: str, query: str) -> list[Any]:
    async with domain.scope(tenant_id=tenant_id) as connection:
        await connection.execute("SET LOCAL ROLE prog_exporter")
        return list(await connection.fetch(query))


async def status(platform: Harness, export_id: str) -> str:
    [row] = await platform.fetch("SELECT status FROM tenants.exports WHERE export_id = $1", export_id)
    return str(row["status"])


async def test_check_21_an_export_has_all_rows_of_the_tenant_and_none_of_another(platform: Harness) -> None:
    company, other = await busy(platform, "alpha"), await busy(platform, "omega")
    found = await rows(platform, await exported(company))
    for table in await platform.fetch(
        "SELECT polrelid::regclass::text AS name FROM pg_policy WHERE polname = 'tenant_export'"
    ):
        name = table["name"]
        beyond = " AND type NOT LIKE 'prognetwork.%'" if name == "bus.event_log" else ""
        [there] = await platform.fetch(
            f"SELECT count(*) AS n FROM {name} WHERE tenant_id = $1{beyond}", company.tenant_id
        )
        assert name in found, f"{name} is left out"
        if name not in ("tenants.exports", "email.mails", "email.mail_events"):  # these go on
            assert len(found[name]) == there["n"], name
    everything = orjson.dumps(found).decode()
    assert other.tenant_id not in everything
    assert "omega" not in everything
    assert [row["data"] for row in found["bus.event_log"]] == [{"n": n, "of": "alpha"} for n in range(5)]
    assert [member["email"] for member in found["tenants.members"]] == ["owner@alpha.example"]
    assert found["tenants.tenants"][0]["name"] == "alpha"
    assert found["payments.customers"][0]["email"] == "owner@alpha.example"


async def test_no_secret_is_in_an_export(platform: Harness) -> None:
    company = await busy(platform, "secretive")
    await company.platform.fetch(
        "INSERT INTO tenants.sign_on (tenant_id, issuer, client_id, sealed_client_secret, default_role, enforced,"
        " updated_at) VALUES ($1, 'https://id.example', 'c', 'sealed-client-secret', 'member', false, now())",
        company.tenant_id,
    )
    digest = "d1" * 32
    await platform.fetch(
        "INSERT INTO users.api_keys (key_id, tenant_id, name, digest, hint, scopes, created_by, created_at)"
        " VALUES ($1, $2, 'Import', $3, 'ab12', '{event.read}', $4, now())",
        new_id("apikey"),
        company.tenant_id,
        digest,
        company.owner_id,
    )
    [invitation] = await platform.fetch("SELECT token_digest FROM tenants.invitations")
    [mail] = [sent for sent in await platform.events(SendMail) if sent.template == "invitation"]
    found = await rows(platform, await exported(company))
    everything = orjson.dumps(found).decode()
    assert found["tenants.sign_on"][0]["issuer"] == "https://id.example"
    assert [row["name"] for row in found["users.api_keys"]] == ["Import"]
    for secret in ("sealed-client-secret", digest, invitation["token_digest"], mail.sealed_data["token"]):
        assert secret not in everything
    assert found["tenants.invitations"][0]["email"] == "guest@secretive.example"


async def test_the_database_itself_gives_no_secret_to_an_export(platform: Harness) -> None:
    company = await busy(platform, "guarded")
    await busy(platform, "elsewhere")
    domain = await Database.connect(platform.url, "prog_tenants", max_size=1)
    try:
        for secret in (
            "sealed_client_secret FROM tenants.sign_on",
            "token_digest FROM tenants.invitations",
            "digest FROM users.api_keys",
            "sealed_data FROM email.mails",
            "gateway_reference FROM payments.payment_methods",
            "wrapped FROM bus.tenant_keys",
            "content FROM tenants.export_parts",
            "email FROM users.users",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await as_exporter(domain, company.tenant_id, f"SELECT {secret}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await as_exporter(domain, company.tenant_id, "DELETE FROM tenants.members RETURNING tenant_id")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with domain.scope(tenant_id=company.tenant_id) as connection:
                await connection.fetch("SELECT email FROM payments.customers")
        seen = await as_exporter(domain, company.tenant_id, "SELECT tenant_id FROM tenants.members")
        assert {row["tenant_id"] for row in seen} == {company.tenant_id}
        assert await as_exporter(domain, "", "SELECT tenant_id FROM tenants.members") == []
    finally:
        await domain.close()


async def test_an_export_goes_on_where_it_was_whatever_is_killed(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    company = await busy(platform, "steps")
    whole = await rows(platform, await exported(company))
    await platform.fetch("UPDATE tenants.exports SET moved_at = moved_at - interval '1 hour'")
    monkeypatch.setattr(exporting, "PART_BYTES", 1)
    monkeypatch.setattr(exporting, "STEP_BYTES", 1)
    usual, calls = store.move_export, 0

    async def killed_now_and_then(*arguments: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        await usual(*arguments, **named)
        if calls % 3 == 0:
            raise asyncio.CancelledError  # the worker is gone before it commits

    monkeypatch.setattr(store, "move_export", killed_now_and_then)
    export_id, answer = await ask(company)
    assert answer.status == "succeeded"
    killed = 0
    while await status(platform, export_id) != "ready":
        try:
            await platform.settle()
        except asyncio.CancelledError:
            killed += 1
            assert killed < 200
    assert killed > 10
    found = await rows(platform, export_id)
    changing = {"tenants.exports", "email.mails", "email.mail_events", "events.audit_entries", "events.audit_heads"}
    assert {name: lines for name, lines in found.items() if name not in changing} == {
        name: lines for name, lines in whole.items() if name not in changing
    }, "nothing is missing and nothing is there twice"
    [row] = await platform.fetch("SELECT * FROM tenants.exports WHERE export_id = $1", export_id)
    assert row["row_count"] == sum(map(len, found.values()))
    assert row["tables_done"] == row["tables_all"] == len(found)


async def test_its_way_is_told_to_owners_and_to_the_audit_trail(platform: Harness) -> None:
    company = await busy(platform, "told")
    second = await company.take_in("second@told.example", "owner")
    export_id = await exported(company)
    [requested] = await platform.events(TenantExportRequested)
    assert (requested.export_id, requested.requested_by) == (export_id, company.owner_id)
    [ready] = await platform.events(TenantExportReady)
    assert ready.expires_at - ready.ready_at == timedelta(days=3)
    mails = [mail for mail in await platform.events(SendMail) if mail.template == "tenant_export_ready"]
    assert {mail.to for mail in mails} == {"owner@told.example", "second@told.example"}
    assert mails[0].data["requested_by"] == "Olga Owner"
    assert (await fetch(company, export_id, second)).status == "succeeded"
    [fetched] = await platform.events(TenantExportFetched)
    assert (fetched.fetched_by, fetched.export_id) == (second, export_id)


@pytest.mark.parametrize("role", ROLES)
async def test_owners_alone_ask_for_an_export_and_fetch_it(platform: Harness, role: TenantRole) -> None:
    company = await busy(platform, "roles")
    export_id = await exported(company)
    actor = company.owner_id if role == "owner" else await company.take_in("somebody@roles.example", role)
    if role == "owner":
        assert (await fetch(company, export_id, actor)).status == "succeeded"
        assert code((await ask(company, actor))[1]) == "exported_just_now"
    else:
        assert code(await fetch(company, export_id, actor)) == "not_permitted"
        assert code((await ask(company, actor))[1]) == "not_permitted"


async def test_a_former_owner_strangers_staff_and_keys_get_nothing(platform: Harness) -> None:
    company, other = await busy(platform, "mine"), await busy(platform, "theirs")
    former = await company.take_in("former@mine.example", "owner")
    export_id = await exported(company)
    assert (await fetch(company, export_id, former)).status == "succeeded"
    assert (await company.change_role(former, "admin")).status == "succeeded"
    assert code(await fetch(company, export_id, former)) == "not_permitted"
    assert (await company.remove(former)).status == "succeeded"
    assert code(await fetch(company, export_id, former)) == "tenant_not_found"
    assert code(await fetch(company, export_id, other.owner_id)) == "tenant_not_found"
    assert code(await fetch(other, export_id)) == "export_not_ready", "an export is found in its own tenant alone"
    assert code(await fetch(company, export_id, await staff(platform))) == "not_permitted"
    assert code(await fetch(company, export_id, f"{company.owner_id}/{new_id('apikey')}")) == "not_permitted"
    assert code((await ask(company, f"{company.owner_id}/{new_id('apikey')}"))[1]) == "not_permitted"


async def test_one_export_at_a_time_and_the_last_one_alone_is_kept(platform: Harness) -> None:
    company = await busy(platform, "again")
    first, answer = await ask(company)
    assert answer.status == "succeeded"
    assert code((await ask(company))[1]) == "export_running"
    assert code(await fetch(company, first)) == "export_not_ready"
    await platform.settle()
    assert code((await ask(company))[1]) == "exported_just_now"
    await platform.fetch("UPDATE tenants.exports SET moved_at = moved_at - interval '11 minutes'")
    second = await exported(company)
    assert (await status(platform, first), await status(platform, second)) == ("expired", "ready")
    assert not await rows(platform, first)
    assert [event.reason for event in await platform.events(TenantExportExpired)] == ["replaced"]
    await platform.fetch(
        "UPDATE tenants.exports SET status = 'running', ready_at = NULL, expires_at = NULL,"
        " moved_at = moved_at - interval '61 minutes' WHERE export_id = $1",
        second,
    )
    third = await exported(company)
    assert (await status(platform, second), await status(platform, third)) == ("expired", "ready")
    late = CollectTenantExport(tenant_id=company.tenant_id, export_id=second)
    assert (await platform.request(late, tenant_id=company.tenant_id)).status == "succeeded"
    assert not await rows(platform, second), "a step that comes late collects nothing"


async def test_an_export_is_fetched_no_more_at_its_end_whenever_its_timer_fires(platform: Harness) -> None:
    company = await busy(platform, "late")
    export_id = await exported(company)
    assert (await fetch(company, export_id)).status == "succeeded"
    await platform.admin.execute("UPDATE tenants.exports SET expires_at = ready_at WHERE export_id = $1", export_id)
    assert await status(platform, export_id) == "ready"
    assert code(await fetch(company, export_id)) == "export_not_ready"


@pytest.mark.parametrize("command", [ExportTenant, CollectTenantExport, FetchTenantExport, ExpireTenantExport])
async def test_a_command_about_another_tenant_than_its_own_is_refused(
    platform: Harness,
    command: type[ExportTenant | CollectTenantExport | FetchTenantExport | ExpireTenantExport],
) -> None:
    company = Company(platform, name="own", owner_email="owner@own.example")
    await company.open()
    asked = command(tenant_id=new_id("tenant"), export_id=new_id("export"))
    assert code(await company.send(asked)) == "wrong_tenant"


async def test_an_export_expires_and_leaves_no_row_behind(platform: Harness) -> None:
    company = await busy(platform, "over")
    export_id = await exported(company)
    await platform.fire_timers(company.tenant_id, START + timedelta(days=3) - timedelta(seconds=1))
    assert await status(platform, export_id) == "ready"
    await platform.fire_timers(company.tenant_id, START + timedelta(days=3))
    assert await status(platform, export_id) == "expired"
    assert not await rows(platform, export_id)
    assert code(await fetch(company, export_id)) == "export_not_ready"
    assert [event.reason for event in await platform.events(TenantExportExpired)] == ["over"]


async def test_a_tenant_that_is_being_deleted_takes_its_data_along_and_a_purge_takes_the_export(
    platform: Harness,
) -> None:
    company = await busy(platform, "leaving")
    assert (await company.delete()).status == "succeeded"
    export_id = await exported(company)
    assert (await fetch(company, export_id)).status == "succeeded"
    await platform.fire_timers(company.tenant_id, START + timedelta(days=30))
    await platform.settle()
    assert not await platform.fetch("SELECT FROM tenants.exports WHERE tenant_id = $1", company.tenant_id)
    assert not await rows(platform, export_id)


async def test_who_is_forgotten_is_in_no_export_that_waits(platform: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PARTS_AT_ONCE", 2)  # however many there are
    company, other = await busy(platform, "forgets"), await busy(platform, "keeps")
    naming, silent = await exported(company), await exported(other)
    guest = Person(user_id=new_id("user"), email="guest@forgets.example", name="Guest")
    command = ForgetMember(user_id=guest.user_id, sealed_person=platform.seal(guest.model_dump_json(), PERSON))
    assert (await platform.request(command, actor="prog-users")).status == "succeeded"
    assert (await status(platform, naming), await status(platform, silent)) == ("expired", "ready")
    assert not await rows(platform, naming)
    assert [(event.tenant_id, event.reason) for event in await platform.events(TenantExportExpired)] == [
        (company.tenant_id, "erasure")
    ]


async def test_an_export_that_grows_too_large_ends_says_so_and_leaves_nothing(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "largest_bytes", 4_000)
    company = await busy(platform, "vast")
    export_id = await exported(company)
    assert not await platform.fetch("SELECT FROM tenants.export_parts"), "what was collected is deleted"
    edge = await Database.connect(platform.url, "prog_edge")
    async with edge.scope(tenant_id=company.tenant_id) as connection:
        row = await queries.export(connection, company.tenant_id, export_id)
    await edge.close()
    assert row is not None
    assert (row.status, row.end_reason) == ("failed", "too_large")
    assert row.byte_count > 4_000
    assert (row.ready_at, row.expires_at) == (None, None)
    [failed] = await platform.events(TenantExportFailed)
    assert (failed.export_id, failed.reason, failed.limit_bytes) == (export_id, "too_large", 4_000)
    assert not await platform.events(TenantExportReady)
    mails = [mail for mail in await platform.events(SendMail) if mail.template.startswith("tenant_export")]
    assert [(mail.template, mail.to, mail.data["requested_by"]) for mail in mails] == [
        ("tenant_export_failed", company.owner_email, company.owner_name)
    ]
    assert code(await fetch(company, export_id)) == "export_not_ready"
    assert not await platform.fetch("SELECT FROM bus.timers WHERE name = $1", f"expire:{export_id}")

    _, soon = await ask(company)
    assert code(soon) == "export_too_large", "nobody has it collected in vain again and again"
    monkeypatch.setattr(exporting, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(exporting, "largest_bytes", 0)
    again = await exported(company)
    assert await status(platform, again) == "ready", "no limit"
    [whole] = await platform.fetch("SELECT sum(length(content)) AS bytes FROM tenants.export_parts")
    monkeypatch.setattr(exporting, "largest_bytes", 2 * whole["bytes"])
    assert await status(platform, await exported(company)) == "ready", "one that fits"
    assert len(await platform.events(TenantExportFailed)) == 1


async def test_an_export_ends_in_the_step_in_which_it_grows_too_large(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes no further, and no later step makes it come to life again."""
    monkeypatch.setattr(exporting, "PART_BYTES", 300)
    monkeypatch.setattr(exporting, "STEP_BYTES", 600)
    monkeypatch.setattr(exporting, "largest_bytes", 2_000)
    company = await busy(platform, "long")
    export_id = await exported(company)
    [row] = await platform.fetch("SELECT byte_count FROM tenants.exports WHERE export_id = $1", export_id)
    assert 2_000 < row["byte_count"] < 6_000
    step = CollectTenantExport(tenant_id=company.tenant_id, export_id=export_id)
    await company.send(step, actor="prog-tenants")
    assert not await platform.fetch("SELECT FROM tenants.export_parts")
