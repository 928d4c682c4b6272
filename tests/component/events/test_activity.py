"""A person sees their own part of the audit trail, in whichever tenant's chain, and nobody else's."""

from __future__ import annotations

from prog_contracts.actors import actor_of_impersonation, actor_of_key
from prog_contracts.ids import new_id
from prog_contracts.users import UserAuthenticated
from prog_workers.events import queries
from prog_workers.events.queries import AuditRow
from tests.component.events.test_audit import log
from tests.component.events.trail import ADA, BOB, OURS, THEIRS, Trail


async def activity_of(trail: Trail, person: str, **paging: object) -> list[AuditRow]:
    async with trail.reader.scope(user_id=person) as connection:
        return list((await queries.activity(connection, person, **paging)).rows)  # type: ignore[arg-type]


async def acts(trail: Trail) -> None:
    await trail.rename("a", OURS, ADA)
    await trail.rename("denied", THEIRS, ADA)
    await trail.rename("b", THEIRS, BOB)
    await trail.rename("c", OURS, actor_of_key(ADA, new_id("apikey")))
    signed_in = UserAuthenticated(user_id=ADA, session_id=new_id("session"), client_address="192.0.2.7")
    await log(trail, signed_in)
    await log(trail, UserAuthenticated(user_id=BOB, session_id=new_id("session")), actor=ADA)
    await trail.record()


async def test_what_somebody_did_and_what_was_done_to_them_in_every_tenant(trail: Trail) -> None:
    await acts(trail)
    found = await activity_of(trail, ADA)
    assert {(row.tenant_id, row.action, row.outcome) for row in found} == {
        (OURS, "tenants.tenant_updated", "success"),
        (THEIRS, "tenants.rename_tenant", "denial"),
        (OURS, "users.user_authenticated", "success"),
    }
    assert len(found) == 4, "and what she did to Bob"
    assert [row.position for row in found] == sorted((row.position for row in found), reverse=True)
    assert "192.0.2.7" in {row.client_address for row in found}
    theirs = await activity_of(trail, BOB)
    assert {row.actor for row in theirs} == {ADA, BOB}
    assert {row.client_address for row in theirs} == {None}, "where Ada was is hers alone"


async def test_it_goes_page_by_page(trail: Trail) -> None:
    await acts(trail)
    async with trail.reader.scope(user_id=ADA) as connection:
        first = await queries.activity(connection, ADA, limit=3)
        rest = await queries.activity(connection, ADA, limit=3, cursor=first.next_cursor)
    assert (len(first.rows), len(rest.rows), rest.next_cursor) == (3, 1, None)


async def test_check_21_the_database_shows_a_person_theirs_alone_and_a_tenant_its_own_alone(trail: Trail) -> None:
    """Whatever the query asks for: the policies decide."""
    await acts(trail)
    everything = "SELECT tenant_id, actor, subject FROM events.audit_entries"
    async with trail.reader.scope(user_id=BOB) as connection:
        rows = await connection.fetch(everything)
        assert rows
        assert all(BOB in (row["actor"], row["subject"]) for row in rows)
    async with trail.reader.scope(user_id=ADA, tenant_id=OURS) as connection:
        rows = await connection.fetch(everything)
        assert {row["tenant_id"] for row in rows} == {OURS}, "in a tenant nobody brings along what is of another"
        people = await connection.fetch("SELECT tenant_id FROM events.audit_origins")
        assert {row["tenant_id"] for row in people} <= {OURS}
    async with trail.reader.scope() as connection:
        assert not await connection.fetch(everything)


async def test_what_support_did_in_somebody_s_name_is_among_theirs_without_where_support_was(trail: Trail) -> None:
    operator = new_id("user")
    await trail.rename("d", OURS, actor_of_impersonation(ADA, operator))
    await trail.rename("e", OURS, actor_of_impersonation(BOB, operator))
    await log(
        trail,
        UserAuthenticated(user_id=new_id("user"), session_id=new_id("session"), client_address="192.0.2.99"),
        actor=actor_of_impersonation(ADA, operator),
    )
    await trail.record()
    found = await activity_of(trail, ADA)
    assert {(row.actor, row.actor_kind) for row in found} == {(f"{ADA}/{operator}", "impersonator")}
    assert len(found) == 2
    assert {row.client_address for row in found} == {None}
    assert await activity_of(trail, operator) == [], "it is no part of theirs: the platform's trail has it"
