"""A tenant's life: creation, provisioning, plan."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from prog_contracts.actors import actor_of_impersonation, actor_of_key
from prog_contracts.configuration import Configuration
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.money import Money
from prog_contracts.payments import (
    SubscriptionCanceled,
    SubscriptionCreated,
    SubscriptionStatus,
    SubscriptionUpdated,
)
from prog_contracts.tenants import (
    BillingChanged,
    CreateTenant,
    DeleteTenant,
    ProvisionTenant,
    RenameTenant,
    TenantCreated,
    TenantUpdated,
)
from prog_contracts.users import EmailVerified, UserUpdated
from prog_kit.database import Database
from prog_workers.tenants import queries
from prog_workers.tenants.handlers import lifecycle
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code, staff
from tests.waiting import wait_until


async def test_a_tenant_is_created_with_its_owner_and_then_provisioned(platform: Harness, edge: Database) -> None:
    company = Company(platform, name="  Ärger & Söhne ")
    answer = await company.create()
    assert answer.result is not None
    assert (answer.result["status"], answer.result["name"]) == ("provisioning", "Ärger & Söhne")
    assert answer.result["slug"] == f"arger-sohne-{company.tenant_id[-6:]}"
    await platform.settle()
    [updated] = await platform.events(TenantUpdated)
    assert (updated.status, updated.changed, updated.owner_email) == ("active", ("status",), "owner@example.com")
    async with edge.scope(tenant_id=company.tenant_id) as connection:
        row = await queries.tenant(connection, company.tenant_id)
        assert row is not None
        assert (row.status, row.member_count, row.clock_at) == ("active", 1, None)
        assert await queries.role_of(connection, company.tenant_id, company.owner_id) == "owner"
        assert (await queries.limits(connection, company.tenant_id))["members"] == 5
        config = await queries.config(connection, company.tenant_id)
        assert config is not None
        assert (config.version, config.configuration, config.changed_by) == (1, Configuration(), company.owner_id)


async def test_two_tenants_of_one_name_have_two_slugs(platform: Harness) -> None:
    for _ in range(2):
        await Company(platform).open()
    one, other = await platform.events(TenantCreated)
    assert one.name == other.name
    assert one.slug != other.slug


async def test_a_taken_slug_gets_a_longer_suffix(platform: Harness) -> None:
    first, second = Company(platform), Company(platform)
    second.tenant_id = first.tenant_id[:20] + "0" + first.tenant_id[21:]
    await first.open()
    await second.open()
    assert len({event.slug for event in await platform.events(TenantCreated)}) == 2


async def test_an_id_is_used_once(platform: Harness, acme: Company) -> None:
    assert code(await acme.create()) == "tenant_exists"


async def test_creating_a_tenant_takes_one_statement(platform: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latency of POST /v1/tenants is promised as a multiple of one insert."""
    statements: list[str] = []
    for name in ("execute", "fetch", "fetchrow", "fetchval"):
        original = getattr(asyncpg.Connection, name)

        def counted(self: object, query: str, *values: object, _original: object = original, **more: object) -> object:
            statements.append(query)
            return _original(self, query, *values, **more)  # type: ignore[operator]

        monkeypatch.setattr(asyncpg.Connection, name, counted)
    await Company(platform).create()
    work = [
        query for query in statements if query.lstrip().startswith(("WITH", "SELECT set_config", "INSERT", "UPDATE"))
    ]
    assert len(work) == 2, "admit, the tenant with its owner"
    assert sum(query.endswith("COMMIT") for query in statements) == 1, "what is left behind goes with it"


async def test_nobody_makes_a_tenant_for_another_but_an_operator(platform: Harness) -> None:
    company = Company(platform)
    command = CreateTenant(
        tenant_id=company.tenant_id, name="Acme", owner_user_id=company.owner_id, owner_email="o@example.com",
        owner_name="O",
    )  # fmt: skip
    assert code(await company.send(command, actor=new_id("user"))) == "not_permitted"
    assert (await company.send(command, actor=await staff(platform))).status == "succeeded"


async def test_nobody_makes_more_tenants_than_one_person_may_have(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "most_a_person", 3)
    ada, theirs = new_id("user"), new_id("user")
    own = [Company(platform, owner_id=ada) for _ in range(8)]
    answers = await asyncio.gather(*(each.create() for each in own))
    await platform.settle()
    made = [company for company, answer in zip(own, answers, strict=True) if answer.status == "succeeded"]
    assert len(made) == 3, "however many are asked for at once"
    assert {code(answer) for answer in answers if answer.status != "succeeded"} == {"too_many_tenants"}
    assert code(await Company(platform, owner_id=ada).create()) == "too_many_tenants"
    assert (await Company(platform, owner_id=theirs).create()).status == "succeeded", "each person counts alone"

    handed_on, deleted, _ = made
    heir = await handed_on.take_in("heir@example.com", "owner")
    assert (await handed_on.change_role(ada, "member", heir)).status == "succeeded"
    assert (await Company(platform, owner_id=ada).create()).status == "succeeded", "one is another owner's"
    assert (await deleted.send(DeleteTenant(tenant_id=deleted.tenant_id))).status == "succeeded"
    assert code(await Company(platform, owner_id=ada).create()) == "too_many_tenants", "it could be restored"
    await platform.settle()
    await platform.fire_timers(deleted.tenant_id, platform.clock.at + timedelta(days=31))
    await platform.settle()
    assert (await Company(platform, owner_id=ada).create()).status == "succeeded"


async def test_who_makes_two_tenants_at_once_has_both_counted(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "most_a_person", 1)
    first, second = Company(platform), Company(platform)
    second.owner_id = first.owner_id

    async def waits() -> bool:
        query = "SELECT FROM pg_locks JOIN pg_database AS d ON d.oid = database WHERE datname = current_database()"
        return bool(await platform.fetch(f"{query} AND locktype = 'advisory' AND NOT granted"))

    other = await asyncpg.connect(platform.url)
    async with other.transaction():
        await other.execute("SELECT tenants.count_tenants_of($1)", first.owner_id)
        making = asyncio.create_task(second.create())
        await wait_until(waits, what="the other one to wait for its turn")
        await other.execute(
            "INSERT INTO tenants.tenants (tenant_id, name, slug, status, owner_user_id, created_at, updated_at)"
            " VALUES ($1, 'First', 'first', 'provisioning', $2, now(), now())",
            first.tenant_id,
            first.owner_id,
        )
    assert code(await making) == "too_many_tenants"
    await other.close()


async def test_operators_make_any_number_of_tenants_and_so_does_everybody_without_a_limit(
    platform: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lifecycle, "most_a_person", 1)
    operator, ada = await staff(platform), new_id("user")
    for owner in (operator, operator, ada, ada):
        company = Company(platform, owner_id=owner)
        command = CreateTenant(
            tenant_id=company.tenant_id, name="Acme", owner_user_id=owner, owner_email="o@example.com", owner_name="O"
        )
        assert (await company.send(command, actor=operator)).status == "succeeded"
    monkeypatch.setattr(lifecycle, "most_a_person", 0)
    assert (await Company(platform, owner_id=ada).create()).status == "succeeded"


async def test_a_command_sent_for_another_tenant_is_refused(platform: Harness, acme: Company) -> None:
    other = Company(platform)
    await other.open()
    command = RenameTenant(tenant_id=other.tenant_id, name="Stolen")
    answer = await platform.request(command, tenant_id=acme.tenant_id, actor=acme.owner_id)
    assert code(answer) == "wrong_tenant"


async def test_provisioning_goes_on_where_it_was_interrupted(platform: Harness) -> None:
    company = Company(platform)
    await company.create()
    await platform.fetch(
        "INSERT INTO tenants.provisioning_steps VALUES ($1, 'configuration', $2)", company.tenant_id, platform.clock.at
    )
    await platform.settle()
    assert not await platform.fetch("SELECT FROM tenants.configs"), "this step counted as done"
    assert await platform.fetch("SELECT FROM tenants.limits")
    again = await company.send(ProvisionTenant(tenant_id=company.tenant_id))
    assert again.status == "succeeded"
    assert len(await platform.events(TenantUpdated)) == 1


async def test_a_tenant_is_renamed_by_whoever_may(platform: Harness, acme: Company) -> None:
    member = await acme.take_in("joe@example.com", "member")
    command = RenameTenant(tenant_id=acme.tenant_id, name="Acme AG")
    assert code(await acme.send(command, actor=member)) == "not_permitted"
    assert code(await acme.send(command, actor=new_id("user"))) == "tenant_not_found"
    assert code(await acme.send(command, actor=await staff(platform, "support"))) == "not_permitted"
    assert (await acme.send(command, actor=await staff(platform))).status == "succeeded"
    [event] = [event for event in await platform.events(TenantUpdated) if "name" in event.changed]
    assert event.name == "Acme AG"


async def test_an_office_is_no_right_of_a_key_nor_of_whoever_acts_in_its_holder_s_name(
    platform: Harness, acme: Company
) -> None:
    command, operator = RenameTenant(tenant_id=acme.tenant_id, name="Acme AG"), await staff(platform)
    for actor in (actor_of_key(operator, new_id("apikey")), actor_of_impersonation(operator, new_id("user"))):
        assert code(await acme.send(command, actor=actor)) == "tenant_not_found"


async def test_the_organisation_named_at_sign_up_is_made_when_the_address_is_verified(platform: Harness) -> None:
    verified = EmailVerified(
        user_id=new_id("user"), email="ada@example.com", name="Ada", verified_at=platform.clock.at,
        tenant_name="Engines Ltd",
    )  # fmt: skip
    await platform.publish(verified, tenant_id=PLATFORM_TENANT_ID)
    await platform.settle()
    [created] = await platform.events(TenantCreated)
    assert (created.name, created.owner_user_id) == ("Engines Ltd", verified.user_id)
    [updated] = await platform.events(TenantUpdated, tenant_id=created.tenant_id)
    assert updated.status == "active"


async def test_operators_own_the_platforms_tenant(platform: Harness, edge: Database) -> None:
    operator, support = await staff(platform), await staff(platform, "support")
    async with edge.scope(tenant_id=PLATFORM_TENANT_ID) as connection:
        assert await queries.role_of(connection, PLATFORM_TENANT_ID, operator) == "owner"
        assert await queries.role_of(connection, PLATFORM_TENANT_ID, support) == "viewer"


async def test_a_new_name_reaches_every_membership(platform: Harness, acme: Company, edge: Database) -> None:
    other = Company(platform, owner_id=acme.owner_id)
    await other.open()
    bystander = await acme.take_in("joe@example.com", "viewer")
    updated = UserUpdated(
        user_id=acme.owner_id, email=acme.owner_email, name="Olga Neu", email_verified=True, changed=("name",)
    )
    await platform.publish(updated, tenant_id=PLATFORM_TENANT_ID)
    for company in (acme, other):
        async with edge.scope(tenant_id=company.tenant_id) as connection:
            names = {row.user_id: row.name for row in await queries.members(connection, company.tenant_id)}
        assert names.pop(acme.owner_id) == "Olga Neu"
        assert names in ({}, {bystander: "Joe"})


def subscription(platform: Harness, status: SubscriptionStatus, plan: str = "Scale") -> dict[str, object]:
    now = datetime(2027, 1, 31, tzinfo=UTC)
    return {
        "subscription_id": new_id("subscription"),
        "customer_id": new_id("customer"),
        "price_id": new_id("price"),
        "plan": plan,
        "status": status,
        "quantity": 1,
        "unit_price": Money(amount=4900, currency="USD"),
        "interval": "month",
        "interval_count": 1,
        "current_period_start": now,
        "current_period_end": now,
        "created_at": now,
    }


async def test_the_plan_and_its_limits_follow_the_subscription(platform: Harness, acme: Company) -> None:
    async def state() -> tuple[str | None, int | None]:
        [row] = await platform.fetch(
            "SELECT plan, value FROM tenants.tenants JOIN tenants.limits USING (tenant_id)"
            " WHERE tenant_id = $1 AND limits.name = 'members'",
            acme.tenant_id,
        )
        return row["plan"], row["value"]

    incomplete = SubscriptionCreated.model_validate(subscription(platform, "incomplete"))
    await platform.publish(incomplete, tenant_id=acme.tenant_id)
    assert await state() == (None, 5)
    for reason, status in (("activated", "active"), ("renewed", "active"), ("past_due", "past_due")):
        updated = SubscriptionUpdated.model_validate({**subscription(platform, status), "reason": reason})  # type: ignore[arg-type]
        await platform.publish(updated, tenant_id=acme.tenant_id)
        assert await state() == ("Scale", None)
    canceled = {**subscription(platform, "canceled"), "reason": "dunning_exhausted"}
    await platform.publish(SubscriptionCanceled.model_validate(canceled), tenant_id=acme.tenant_id)
    assert await state() == (None, 5)
    changes = await platform.events(BillingChanged)
    assert [(event.plan, event.reason) for event in changes] == [
        ("Scale", "activated"),
        (None, "canceled_dunning_exhausted"),
    ]
