"""The recorder on a real database: every success, failure and denial becomes one entry, in order, whatever breaks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from prog_contracts.actors import actor_of_impersonation, actor_of_key
from prog_contracts.envelope import wrap
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id, new_message_id
from prog_contracts.messages import Message
from prog_contracts.tenants import MemberJoined
from prog_contracts.users import AuthenticationFailed, UserAuthenticated, UserDeleted
from prog_workers.events.audit import writing
from prog_workers.events.audit.recording import Recorder
from tests.component.events.trail import ADA, BOB, OURS, THEIRS, Trail, as_auditor

NOTE = """
INSERT INTO events.audit_notes (message_id, tenant_id, actor_kind, session_id, request_id, client_address, user_agent)
VALUES ($1, $2, $3, $4, $5, $6, $7)
"""


def told(rows: list[Any]) -> list[tuple[str, str, str | None]]:
    return [(row.action, row.outcome, row.code) for row in rows]


async def log(trail: Trail, event: Message, *, tenant_id: str = OURS, actor: str | None = None, **more: Any) -> Any:
    """Appends an event to the log as a domain does, without its handler."""
    envelope = wrap(event, tenant_id=tenant_id, source="/prognetwork/test", actor=actor, **more)
    await trail.admin.execute(
        "INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id,"
        " partition_key, subject, actor, correlation_id, causation_id, traceparent, occurred_at, data)"
        " VALUES ($1, 'event', $2, $3, $4, 1, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        envelope.id, f"prog.{event.domain()}.events", event.domain(), envelope.type, tenant_id,
        envelope.partition_key, envelope.subject, actor, envelope.correlation_id, envelope.causation_id,
        envelope.traceparent, envelope.time, envelope.data,
    )  # fmt: skip
    return envelope


async def test_a_success_a_failure_a_denial_and_a_defect_each_become_one_entry(trail: Trail) -> None:
    for name in ("first", "taken", "denied", "broken", "last"):
        await trail.rename(name)
    await trail.record()
    rows = await trail.entries()
    assert told(rows) == [
        ("tenants.tenant_updated", "success", None),
        ("tenants.rename_tenant", "failure", "name_taken"),
        ("tenants.rename_tenant", "denial", "denied"),
        ("tenants.rename_tenant", "failure", "internal_error"),
    ]
    assert [row.sequence for row in rows] == [1, 2, 3, 4]
    assert {(row.actor, row.actor_kind, row.subject, row.tenant_id) for row in rows} == {(ADA, "person", OURS, OURS)}


async def test_a_refusal_that_its_domain_tells_of_by_an_event_is_one_entry(trail: Trail) -> None:
    answer = await trail.rename("told")
    assert answer.error.code == "sign_in_again"
    await trail.record()
    assert told(await trail.entries()) == [("users.revocation_denied", "denial", None)]
    assert await trail.admin.fetchval("SELECT count(*) FROM bus.audit_intake") == 0


async def test_entries_stand_in_the_order_of_commit_whichever_way_they_came(trail: Trail) -> None:
    names = ["a", "taken", "b", "denied", "taken", "c", "d", "denied", "e"]
    for name in names:
        await trail.rename(name)
    await trail.record()
    assert [row.outcome for row in await trail.entries()] == [
        {"taken": "failure", "denied": "denial"}.get(name, "success") for name in names
    ]


async def test_a_message_that_comes_again_and_a_second_look_add_nothing(trail: Trail) -> None:
    once = wrap_rename(trail, "taken")
    for _ in range(3):
        await trail.platform.deliver(once, "tenants")
        await trail.record()
    assert len(await trail.entries()) == 1


def wrap_rename(trail: Trail, name: str) -> Any:
    from prog_contracts.tenants import RenameTenant

    command = RenameTenant(tenant_id=OURS, name=name)
    return wrap(command, tenant_id=OURS, source="/prognetwork/test", actor=ADA, message_id=new_message_id())


async def test_a_transaction_that_commits_late_is_not_passed_by(trail: Trail) -> None:
    """Its rows have lower positions than those that were committed before it."""
    slow = await asyncpg.connect(trail.platform.url)
    try:
        transaction = slow.transaction()
        await transaction.start()
        await slow.execute(
            "INSERT INTO bus.audit_intake (tenant_id, told_by, action, outcome)"
            " VALUES ($1, 'tenants', 'slow', 'failure')",
            OURS,
        )
        await trail.rename("quick")
        await trail.record()
        assert await trail.entries() == [], "what may still be passed by is waited for"
        await transaction.commit()
    finally:
        await slow.close()
    await trail.record()
    assert {row.action for row in await trail.entries()} == {"slow", "tenants.tenant_updated"}
    assert (await trail.ours()).intact


async def test_check_25_no_crash_between_commit_and_publish_leaves_a_gap(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "taken", "b", "denied", "c", "d"):
        await trail.rename(name)

    class Killed(Exception):
        pass

    async def die(*_: object) -> None:
        raise Killed

    for step in ("append", "read_up_to", "forget_told"):
        with monkeypatch.context() as patch:
            patch.setattr(writing, step, die)
            with pytest.raises(Killed):
                await trail.record()
        assert await trail.entries() == []
    await trail.record()
    rows = await trail.entries()
    assert [row.outcome for row in rows] == ["success", "failure", "success", "denial", "success", "success"]
    assert (await trail.ours()).intact


async def test_recorders_at_once_write_one_whole_chain(trail: Trail) -> None:
    for number in range(30):
        await trail.rename(("taken", "x")[number % 2] + ("" if number % 2 == 0 else str(number)))
    recorders = [Recorder(trail.database, trail.signer, hold_seconds=0, batch=3) for _ in range(4)]

    async def work(recorder: Recorder) -> None:
        for _ in range(40):
            await recorder.record()

    async with asyncio.timeout(60):
        await asyncio.gather(*(work(recorder) for recorder in recorders))
        await trail.record()
    rows = await trail.entries()
    assert [row.sequence for row in rows] == list(range(1, 31))
    assert len({row.message_id for row in rows}) == 30
    assert (await trail.ours()).intact


async def test_nothing_is_recorded_before_the_edge_could_note_where_it_came_from(trail: Trail) -> None:
    await trail.rename("fresh")
    patient = Recorder(trail.database, trail.signer, hold_seconds=3600)
    assert not await patient.record()
    assert await trail.entries() == []


async def test_an_entry_tells_through_which_session_and_from_where_a_command_came(trail: Trail) -> None:
    session = new_id("session")
    for name in ("good", "denied"):
        command = wrap_rename(trail, name)
        await trail.admin.execute(NOTE, command.id, OURS, "operator", session, f"req_{name}", "192.0.2.9", "curl/8")
        await trail.platform.deliver(command, "tenants")
    await trail.record()
    rows = await trail.entries()
    assert [(row.outcome, row.request_id) for row in rows] == [("success", "req_good"), ("denial", "req_denied")]
    assert {(r.actor, r.actor_kind, r.session_id, r.client_address, r.user_agent) for r in rows} == {
        (ADA, "operator", session, "192.0.2.9", "curl/8")
    }


async def test_who_has_just_proved_to_be_somebody_acts_and_who_failed_is_nobody(trail: Trail) -> None:
    session = new_id("session")
    signed_in = UserAuthenticated(user_id=ADA, session_id=session, client_address="192.0.2.7")
    failed = AuthenticationFailed(email_digest="d" * 64, reason="wrong_password", client_address="192.0.2.8")
    await log(trail, signed_in, tenant_id=PLATFORM_TENANT_ID)
    await log(trail, failed, tenant_id=PLATFORM_TENANT_ID)
    await trail.record()
    good, bad = await trail.entries(PLATFORM_TENANT_ID)
    assert (good.actor, good.actor_kind, good.session_id, good.client_address) == (ADA, "person", session, "192.0.2.7")
    assert (bad.actor, bad.actor_kind, bad.outcome, bad.code) == (None, "nobody", "failure", "wrong_password")
    assert (bad.subject, bad.client_address) == (None, "192.0.2.8"), "not even a digest of the address that was tried"


async def test_check_25_the_trail_holds_no_secret_and_no_address_of_anybody(trail: Trail) -> None:
    email, name, secret = "ada@example.com", "Ada Lovelace", "sealed-thing"
    joined = MemberJoined(tenant_id=OURS, user_id=ADA, email=email, name=name, role="admin")
    await log(trail, joined, actor=ADA)
    await trail.admin.execute(
        "INSERT INTO bus.inbox (consumer_group, message_id, tenant_id, partition_key, type, subject, correlation_id,"
        " sent_at, status, error) VALUES ('users', $1, $2, $3, 'prognetwork.users.authenticate', $3, $1, now(),"
        " 'failed', $4)",
        new_message_id(), OURS, email, f'{{"kind": "denied", "code": "locked", "message": "{secret}"}}',
    )  # fmt: skip
    await trail.record()
    rows = await trail.entries()
    assert told(rows) == [("tenants.member_joined", "success", None), ("users.authenticate", "denial", "locked")]
    everything = await trail.admin.fetch("SELECT e::text AS text FROM events.audit_entries AS e")
    for row in everything:
        assert not any(word in row["text"] for word in (email, name, secret)), row["text"]


async def test_check_25_the_trail_is_append_only_for_every_role_and_for_the_owner(trail: Trail) -> None:
    await trail.rename("kept")
    await trail.record()
    await trail.recorder.tidy()
    roles = await trail.admin.fetch("SELECT rolname FROM pg_roles WHERE rolname LIKE 'prog\\_%'")
    for role in (row["rolname"] for row in roles):
        for table in ("audit_entries", "audit_checkpoints"):
            for right in ("UPDATE", "DELETE", "TRUNCATE"):
                held = await trail.admin.fetchval(
                    "SELECT has_table_privilege($1, $2, $3)", role, f"events.{table}", right
                )
                assert not held, f"{role} may {right} {table}"
        writes = await trail.admin.fetchval("SELECT has_table_privilege($1, 'events.audit_entries', 'INSERT')", role)
        assert writes == (role == "prog_auditor"), role
    for statement in (
        "UPDATE events.audit_entries SET actor = 'x'",
        "DELETE FROM events.audit_entries",
        "TRUNCATE events.audit_entries",
        "UPDATE events.audit_checkpoints SET sequence = 0",
        "DELETE FROM events.audit_checkpoints",
        "UPDATE events.audit_origins SET client_address = 'x'",
        "TRUNCATE events.audit_origins",
    ):
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="append-only"):
            await trail.admin.execute(statement)
    assert len(await trail.entries()) == 1


async def test_a_domain_can_put_nothing_into_the_trail_in_another_s_name(trail: Trail) -> None:
    add = "INSERT INTO bus.audit_intake (tenant_id, told_by, action, outcome) VALUES ($1, $2, 'a', 'denial')"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with trail.database.transaction() as connection:
            await connection.execute(add, OURS, "users")
    async with trail.reader.scope(tenant_id=OURS) as connection:
        await connection.execute(add, OURS, "edge")
    for tenant_id, name in ((THEIRS, "edge"), (OURS, "users")):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with trail.reader.scope(tenant_id=OURS) as connection:
                await connection.execute(add, tenant_id, name)


async def test_a_tenant_sees_its_own_chain_alone_and_the_operator_all(trail: Trail) -> None:
    await trail.rename("ours", OURS)
    await trail.rename("theirs", THEIRS, BOB)
    await trail.record()
    assert [row.tenant_id for row in await trail.entries(OURS)] == [OURS]
    assert [row.actor for row in await trail.entries(THEIRS)] == [BOB]
    async with trail.reader.scope() as connection:
        assert await connection.fetch("SELECT * FROM events.audit_entries") == []
    assert {chain.tenant_id for chain in await trail.verified()} == {OURS, THEIRS}


async def test_every_filter_finds_what_it_names(trail: Trail) -> None:
    await trail.rename("one", actor=ADA)
    await trail.rename("taken", actor=BOB)
    await trail.rename("denied", actor=BOB)
    await trail.record()
    everything = await trail.entries()
    assert len(await trail.entries(actor=BOB)) == 2
    assert [row.code for row in await trail.entries(outcome="denial")] == ["denied"]
    assert len(await trail.entries(action="tenants.*")) == 3
    assert len(await trail.entries(action="tenants.rename_tenant", outcome="failure")) == 1
    assert await trail.entries(action="tenants.rename") == []
    assert len(await trail.entries(subject=OURS)) == 3
    assert await trail.entries(subject=THEIRS) == []
    now = datetime.now(UTC)
    assert len(await trail.entries(since=now - timedelta(minutes=5), until=now + timedelta(minutes=5))) == 3
    assert await trail.entries(until=everything[0].at) == []
    assert [row.sequence for row in await trail.entries(limit=2)] == [2, 3]


async def test_what_was_done_in_somebody_s_name_is_found_by_either_person(trail: Trail) -> None:
    key = new_id("apikey")
    await trail.rename("one", actor=ADA)
    await trail.rename("two", actor=actor_of_impersonation(ADA, BOB))
    await trail.rename("three", actor=actor_of_key(ADA, key))
    await trail.rename("four", actor=actor_of_impersonation(BOB, new_id("user")))
    await trail.record()
    numbers = {
        wanted: [row.sequence for row in await trail.entries(actor=wanted)]
        for wanted in (ADA, BOB, key, actor_of_impersonation(ADA, BOB))
    }
    assert numbers == {ADA: [1, 2], BOB: [2, 4], key: [3], actor_of_impersonation(ADA, BOB): [2]}
    assert [row.sequence for row in await trail.entries(concerning=BOB)] == [2, 4]


async def test_an_erased_person_s_addresses_are_gone_and_the_chain_is_whole(trail: Trail) -> None:
    for number, actor in enumerate((ADA, BOB, ADA)):
        command = wrap_rename(trail, f"name {number}")
        await trail.admin.execute(NOTE, command.id, OURS, "person", None, None, f"192.0.2.{number}", "curl/8")
        await trail.platform.deliver(_by(command, actor), "tenants")
    await trail.record()
    await log(trail, UserDeleted(user_id=ADA), tenant_id=PLATFORM_TENANT_ID)
    await trail.record()
    rows = await trail.entries()
    assert [row.client_address for row in rows] == [None, "192.0.2.1", None, None]
    assert (rows[3].action, rows[3].subject, rows[3].count) == ("audit.origins_erased", ADA, 2)
    assert await trail.admin.fetchval("SELECT count(*) FROM events.audit_origins WHERE person = $1", ADA) == 0
    chain = await trail.ours()
    assert chain.intact
    assert chain.erased_origins == 2


def _by(command: Any, actor: str) -> Any:
    from msgspec.structs import replace

    return replace(command, actor=actor)


async def test_heads_are_signed_while_there_is_more_to_record_too(
    trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    await trail.rename("first")
    await trail.record()
    signed = asyncio.Event()
    usual = trail.recorder.tidy

    async def always_more() -> bool:
        await asyncio.sleep(0)
        return True

    async def tidy() -> None:
        await usual()
        signed.set()

    monkeypatch.setattr(trail.recorder, "record", always_more)
    monkeypatch.setattr(trail.recorder, "tidy", tidy)
    running = asyncio.create_task(trail.recorder.run())
    try:
        async with asyncio.timeout(20):
            await signed.wait()
    finally:
        running.cancel()
        await asyncio.wait([running], timeout=60)
    assert (await trail.ours()).signed_sequence == 1


async def test_notes_are_kept_for_a_day(trail: Trail) -> None:
    await trail.admin.execute(NOTE, new_message_id(), OURS, None, None, None, "192.0.2.1", None)
    await trail.admin.execute(NOTE, new_message_id(), OURS, None, None, None, "192.0.2.2", None)
    await trail.admin.execute(
        "UPDATE events.audit_notes SET noted_at = noted_at - interval '25 hours' WHERE client_address = '192.0.2.1'"
    )
    await trail.recorder.tidy()
    assert await trail.admin.fetchval("SELECT array_agg(client_address) FROM events.audit_notes") == ["192.0.2.2"]


async def test_the_auditor_s_role_is_taken_on_for_the_recorder_s_transaction_alone(trail: Trail) -> None:
    await trail.rename("seen")
    async with trail.database.transaction() as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM events.audit_entries")
    async with trail.database.transaction() as connection:
        await as_auditor(connection)
        assert await connection.fetch("SELECT * FROM events.audit_entries") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM bus.inbox")
