"""Support in a member's name: what a worker lets it do in a tenant, and that the tenant is told."""

from __future__ import annotations

from datetime import timedelta

from prog_contracts.actors import actor_of_impersonation
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.impersonation import (
    ImpersonationBegan,
    ImpersonationEnded,
    MemberImpersonationBegan,
    MemberImpersonationEnded,
)
from prog_contracts.tenants import CreateTenant, RenameTenant
from tests.component.harness import Harness
from tests.component.tenants.company import Company, code, staff


async def test_it_has_the_member_s_rights_and_none_of_the_operator_s(platform: Harness, acme: Company) -> None:
    operator = await staff(platform)
    viewer = await acme.take_in("viewer@example.com", "viewer")
    rename = RenameTenant(tenant_id=acme.tenant_id, name="Renamed Ltd")
    assert (await acme.send(rename, operator)).status == "succeeded", "by themselves operators may"
    assert (await acme.send(rename, actor_of_impersonation(acme.owner_id, operator))).status == "succeeded"
    assert code(await acme.send(rename, actor_of_impersonation(viewer, operator))) == "not_permitted"
    stranger = actor_of_impersonation(new_id("user"), operator)
    assert code(await acme.send(rename, stranger)) == "tenant_not_found"


async def test_in_an_owner_s_name_nobody_gives_or_takes_access_or_ends_the_tenant(
    platform: Harness, acme: Company
) -> None:
    operator = await staff(platform)
    joe = await acme.take_in("joe@example.com", "member")
    acting = actor_of_impersonation(acme.owner_id, operator)
    for answer in (
        await acme.invite("eve@example.com", "viewer", acting),
        await acme.change_role(joe, "admin", acting),
        await acme.remove(joe, acting),
        await acme.remove(acme.owner_id, acting),
        await acme.delete(acting),
        await acme.suspend(acting),
    ):
        assert code(answer) == "not_permitted"
    assert await acme.roles() == {acme.owner_id: "owner", joe: "member"}


async def test_in_somebody_s_name_nobody_makes_a_tenant_or_joins_one(platform: Harness, acme: Company) -> None:
    operator, person = await staff(platform), new_id("user")
    acting = actor_of_impersonation(person, operator)
    made = CreateTenant(
        tenant_id=new_id("tenant"), name="Mine", owner_user_id=person, owner_email="p@example.com", owner_name="P"
    )
    assert code(await platform.request(made, tenant_id=made.tenant_id, actor=acting)) == "not_permitted"
    await acme.invite("p@example.com")
    answer = await acme.accept(await acme.mailed_token(), "p@example.com", person, actor=acting)
    assert code(answer) == "not_permitted"


async def test_every_tenant_of_the_person_is_told_and_no_other_and_none_of_the_reason(
    platform: Harness, acme: Company
) -> None:
    other, third = Company(platform, owner_id=acme.owner_id), Company(platform)
    for company in (other, third):
        await company.open()
    operator, impersonation_id, at = new_id("user"), new_id("impersonation"), platform.clock.now()
    began = ImpersonationBegan(
        impersonation_id=impersonation_id,
        user_id=acme.owner_id,
        operator_id=operator,
        by_session_id=new_id("session"),
        reason="Their other company does not pay",
        began_at=at,
        expires_at=at + timedelta(minutes=15),
    )
    await platform.publish(began, tenant_id=PLATFORM_TENANT_ID, actor=operator)
    ended = ImpersonationEnded(
        impersonation_id=impersonation_id, user_id=acme.owner_id, operator_id=operator, end="by_hand", ended_at=at
    )
    await platform.publish(ended, tenant_id=PLATFORM_TENANT_ID, actor=operator)
    beginnings, ends = await platform.events(MemberImpersonationBegan), await platform.events(MemberImpersonationEnded)
    for told in ([(e.tenant_id, e.operator_id) for e in beginnings], [(e.tenant_id, e.operator_id) for e in ends]):
        assert sorted(told) == sorted((company.tenant_id, operator) for company in (acme, other))
    rows = await platform.fetch("SELECT tenant_id, actor, data FROM bus.event_log WHERE type ~ 'member_impersonation'")
    assert {row["actor"] for row in rows} == {operator}
    assert not any(b"does not pay" in row["data"] for row in rows)
    assert {row["tenant_id"] for row in rows} == {acme.tenant_id, other.tenant_id}
