"""Keys of tenants' programs on a real database. `check_N` in a name is the number of the security review's check."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from prog_broker.replies import Answer
from prog_contracts.actors import actor_of_key
from prog_contracts.api_keys import (
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeyRolled,
    ApiKeyUse,
    CreateApiKey,
    NoteApiKeyUses,
    RevokeApiKey,
    RollApiKey,
)
from prog_contracts.ids import new_id
from prog_contracts.permissions import SCOPES
from prog_contracts.tenants import MemberRemoved, TenantDeleted
from prog_kit.database import Database
from prog_workers.users import rules
from prog_workers.users.queries import api_keys as queries
from prog_workers.users.queries.api_keys import ApiKeyRow
from tests.component.harness import Harness
from tests.component.users.people import Person, administrator, code
from tests.lasting import kept

TENANT, OTHER = new_id("tenant"), new_id("tenant")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Keys:
    """What a person does with the keys of a tenant."""

    def __init__(self, person: Person, tenant_id: str = TENANT) -> None:
        self.platform, self.person, self.tenant_id = person.platform, person, tenant_id

    async def make(self, name: str = "Import", *, actor: str | None = None, **changes: Any) -> tuple[str, Answer]:
        key_id = new_id("apikey")
        values = {"scopes": ("event.read",), "key_digest": digest(key_id), "hint": "q7Rk0b", **changes}
        command = CreateApiKey(key_id=key_id, tenant_id=self.tenant_id, name=name, **values)
        return key_id, await self.ask(command, actor=actor)

    async def made(self, name: str = "Import", **changes: Any) -> str:
        key_id, answer = await self.make(name, **changes)
        assert answer.status == "succeeded", answer
        return key_id

    async def roll(self, key_id: str, *, grace_seconds: int = 3600, **changes: Any) -> tuple[str, Answer]:
        successor_id = new_id("apikey")
        actor = changes.pop("actor", None)
        command = RollApiKey(
            key_id=key_id,
            tenant_id=self.tenant_id,
            successor_id=successor_id,
            key_digest=digest(successor_id),
            hint="Zz9",
            grace_seconds=grace_seconds,
            **changes,
        )
        return successor_id, await self.ask(command, actor=actor)

    async def revoke(self, key_id: str, *, actor: str | None = None) -> Answer:
        return await self.ask(RevokeApiKey(key_id=key_id, tenant_id=self.tenant_id), actor=actor)

    async def note(self, *uses: ApiKeyUse, actor: str = "prog-edge") -> Answer:
        return await self.ask(NoteApiKeyUses(tenant_id=self.tenant_id, uses=uses), actor=actor)

    async def ask(self, command: Any, *, actor: str | None = None) -> Answer:
        return await self.platform.request(command, tenant_id=self.tenant_id, actor=actor or self.person.user_id)

    async def row(self, key_id: str) -> ApiKeyRow:
        async with (
            kept().database(self.platform.url, "prog_edge") as database,
            database.scope(tenant_id=self.tenant_id) as connection,
        ):
            found = await queries.api_key(connection, self.tenant_id, key_id)
        assert found is not None
        return found

    async def status(self, key_id: str) -> str:
        return (await self.row(key_id)).status(self.now)

    @property
    def now(self) -> datetime:
        return self.platform.clock.now()


@pytest.fixture
async def keys(ada: Person) -> Keys:
    await ada.become_verified()
    return Keys(ada)


async def test_a_key_is_kept_by_its_digest_and_told_without_it(platform: Harness, keys: Keys) -> None:
    ends = keys.now + timedelta(days=30)
    key_id = await keys.made(
        "  Order \n import ", scopes=("event.publish", "event.read", "event.read"), expires_at=ends
    )
    row = await keys.row(key_id)
    assert (row.name, row.hint, row.created_by) == ("Order import", "q7Rk0b", keys.person.user_id)
    assert (sorted(row.scopes), row.expires_at, row.last_used_at) == (["event.publish", "event.read"], ends, None)
    [created] = await platform.events(ApiKeyCreated, tenant_id=TENANT)
    assert (created.key_id, created.scopes) == (key_id, ("event.read", "event.publish"))
    [logged] = await platform.fetch("SELECT data, actor FROM bus.event_log WHERE type = $1", ApiKeyCreated.TYPE)
    assert digest(key_id) not in bytes(logged["data"]).decode()
    assert logged["actor"] == keys.person.user_id


@pytest.mark.parametrize(
    ("field", "reason", "changes"),
    [
        ("name", "required", {"name": "  "}),
        ("name", "too_long", {"name": "n" * 101}),
        ("name", "invalid_characters", {"name": "a\u202eb"}),
        ("scopes", "required", {"scopes": ()}),
        ("scopes", "unknown_scope", {"scopes": ("event.read", "everything")}),
        ("scopes", "unknown_scope", {"scopes": ("api_key.manage",)}),
        ("scopes", "unknown_scope", {"scopes": ("tenant.delete",)}),
        ("expires_at", "in_the_past", {"expires_at": timedelta(0)}),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(
    keys: Keys, field: str, reason: str, changes: dict[str, Any]
) -> None:
    if "expires_at" in changes:
        changes = {"expires_at": keys.now + changes["expires_at"]}
    _, answer = await keys.make(**changes)
    assert code(answer) == "invalid"
    assert answer.error is not None
    assert [(item.field, item.code) for item in answer.error.fields] == [(field, reason)]


async def test_everything_that_is_wrong_is_told_at_once(keys: Keys) -> None:
    _, answer = await keys.make(name="", scopes=("all",), expires_at=keys.now - timedelta(days=1))
    assert answer.error is not None
    assert [item.field for item in answer.error.fields] == ["name", "scopes", "expires_at"]


async def test_keys_make_roll_and_revoke_no_keys(platform: Harness, keys: Keys) -> None:
    key_id = await keys.made(scopes=SCOPES)
    actor = actor_of_key(keys.person.user_id, key_id)
    for _, answer in (await keys.make(actor=actor), await keys.roll(key_id, actor=actor)):
        assert code(answer) == "not_permitted"
    assert code(await keys.revoke(key_id, actor=actor)) == "not_permitted"
    assert await keys.status(key_id) == "active"


async def test_only_people_with_an_active_account_make_keys(platform: Harness, keys: Keys) -> None:
    for actor in (new_id("user"), "prog-edge"):
        assert code((await keys.make(actor=actor))[1]) == "not_permitted"
    await platform.admin.execute("UPDATE users.users SET status = 'disabled'")
    assert code((await keys.make())[1]) == "not_permitted"


async def test_an_operator_and_a_process_revoke_keys(platform: Harness, keys: Keys) -> None:
    root = await administrator(platform)
    for actor, by in ((root.user_id, root.user_id), ("prog admin", None)):
        key_id = await keys.made()
        assert (await keys.revoke(key_id, actor=actor)).status == "succeeded"
        assert (await keys.row(key_id)).revoked_by == by


async def test_revoking_twice_is_no_error_and_one_event(platform: Harness, keys: Keys) -> None:
    key_id = await keys.made()
    first = await keys.revoke(key_id)
    platform.clock.at += timedelta(hours=1)
    second = await keys.revoke(key_id)
    assert first.result == second.result
    assert len(await platform.events(ApiKeyRevoked)) == 1
    assert await keys.status(key_id) == "revoked"


async def test_a_rolled_key_is_good_for_its_grace(platform: Harness, keys: Keys) -> None:
    key_id = await keys.made("Import", scopes=("event.publish",), expires_at=keys.now + timedelta(days=90))
    platform.clock.at += timedelta(days=80)
    successor_id, answer = await keys.roll(key_id, grace_seconds=3600)
    assert answer.status == "succeeded", answer
    old, successor = await keys.row(key_id), await keys.row(successor_id)
    assert (successor.name, list(successor.scopes), successor.replaces) == ("Import", ["event.publish"], key_id)
    assert successor.expires_at == keys.now + timedelta(days=90), "it lives as long as the first was made to live"
    assert (old.replaced_by, old.expires_at) == (successor_id, keys.now + timedelta(hours=1))
    [rolled] = await platform.events(ApiKeyRolled)
    assert (rolled.key_id, rolled.successor_id, rolled.expires_at) == (key_id, successor_id, old.expires_at)
    platform.clock.at += timedelta(hours=1)
    assert [await keys.status(each) for each in (key_id, successor_id)] == ["expired", "active"]


async def test_a_roll_lengthens_no_life(platform: Harness, keys: Keys) -> None:
    ends = keys.now + timedelta(minutes=5)
    key_id = await keys.made(expires_at=ends)
    await keys.roll(key_id, grace_seconds=3600, expires_at=keys.now + timedelta(days=1))
    assert (await keys.row(key_id)).expires_at == ends


async def test_the_successor_belongs_to_whoever_rolls(platform: Harness, keys: Keys) -> None:
    key_id = await keys.made()
    bob = Person(platform, email="bob@example.com", name="Bob")
    await bob.become_verified()
    successor_id, _ = await keys.roll(key_id, actor=bob.user_id)
    assert (await keys.row(successor_id)).created_by == bob.user_id
    assert (await keys.row(key_id)).created_by == keys.person.user_id


@pytest.mark.parametrize("grace_seconds", [-1, 7 * 24 * 3600 + 1])
async def test_a_grace_has_bounds(keys: Keys, grace_seconds: int) -> None:
    key_id = await keys.made()
    _, answer = await keys.roll(key_id, grace_seconds=grace_seconds)
    assert code(answer) == "invalid"
    assert (await keys.row(key_id)).replaced_by is None


async def test_what_is_over_or_rolled_is_not_rolled(platform: Harness, keys: Keys) -> None:
    short, revoked, rolled = [await keys.made(expires_at=keys.now + timedelta(hours=1)) for _ in range(3)]
    await keys.revoke(revoked)
    await keys.roll(rolled)
    assert code((await keys.roll(revoked))[1]) == "api_key_ended"
    assert code((await keys.roll(rolled))[1]) == "api_key_rolled"
    platform.clock.at += timedelta(hours=1)
    assert code((await keys.roll(short))[1]) == "api_key_ended"
    assert code((await keys.roll(new_id("apikey")))[1]) == "api_key_not_found"


async def test_rolling_at_once_gives_one_successor(platform: Harness, keys: Keys) -> None:
    key_id = await keys.made()
    rolled = await asyncio.gather(*(keys.roll(key_id) for _ in range(5)))
    assert sorted(answer.status for _, answer in rolled) == ["failed"] * 4 + ["succeeded"]
    assert len(await platform.fetch("SELECT FROM users.api_keys WHERE replaces = $1", key_id)) == 1


async def test_a_tenant_has_a_hundred_good_keys(platform: Harness, keys: Keys) -> None:
    made = [await keys.made(str(number)) for number in range(rules.API_KEYS_MAX)]
    assert code((await keys.make())[1]) == "api_key_limit"
    assert code((await keys.roll(made[0]))[1]) == "api_key_limit"
    await keys.revoke(made[0])
    assert (await keys.make())[1].status == "succeeded"
    assert (await Keys(keys.person, OTHER).make())[1].status == "succeeded"


async def test_one_key_is_kept_once(keys: Keys) -> None:
    key_id = await keys.made()
    _, answer = await keys.make(key_digest=digest(key_id))
    assert code(answer) == "api_key_exists"


async def test_check_21_nobody_reaches_the_keys_of_another_tenant(platform: Harness, keys: Keys) -> None:
    mine = await keys.made()
    theirs = Keys(keys.person, OTHER)
    assert code(await theirs.revoke(mine)) == "api_key_not_found"
    assert code((await theirs.roll(mine))[1]) == "api_key_not_found"
    await theirs.note(ApiKeyUse(key_id=mine, used_at=keys.now))
    stray = RevokeApiKey(key_id=mine, tenant_id=TENANT)
    assert code(await platform.request(stray, tenant_id=OTHER, actor=keys.person.user_id)) == "api_key_not_found"
    row = await keys.row(mine)
    assert (row.revoked_at, row.replaced_by, row.last_used_at) == (None, None, None)


async def test_check_20_the_edge_reads_keys_of_its_tenant_and_writes_none(platform: Harness, keys: Keys) -> None:
    key_id = await keys.made()
    edge = await Database.connect(platform.url, "prog_edge", max_size=1)
    try:
        async with edge.scope(tenant_id=OTHER) as connection:
            assert await queries.api_key_of_digest(connection, TENANT, digest(key_id)) is None
        async with edge.scope() as connection:
            assert await connection.fetch("SELECT FROM users.api_keys") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with edge.scope(tenant_id=TENANT) as connection:
                await connection.execute("UPDATE users.api_keys SET revoked_at = NULL")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with edge.operator() as connection:
                await connection.fetch("SELECT digest FROM users.api_keys")
    finally:
        await edge.close()


async def test_the_last_use_moves_on_by_a_minute_at_least(platform: Harness, keys: Keys) -> None:
    key_id, idle = await keys.made(), await keys.made("idle")
    first = keys.now
    for seconds, address, noted in (
        (0, "192.0.2.1", (0, "192.0.2.1")),
        (59, "192.0.2.2", (0, "192.0.2.1")),
        (60, "192.0.2.3", (60, "192.0.2.3")),
        (30, "192.0.2.4", (60, "192.0.2.3")),
    ):
        use = ApiKeyUse(key_id=key_id, used_at=first + timedelta(seconds=seconds), client_address=address)
        assert (await keys.note(use)).status == "succeeded"
        row = await keys.row(key_id)
        assert (row.last_used_at, row.last_used_address) == (first + timedelta(seconds=noted[0]), noted[1])
    assert (await keys.row(idle)).last_used_at is None


async def test_nobody_but_the_platform_tells_of_uses(keys: Keys) -> None:
    key_id = await keys.made()
    use = ApiKeyUse(key_id=key_id, used_at=keys.now)
    assert code(await keys.note(use, actor=keys.person.user_id)) == "not_permitted"
    assert code(await keys.note(use, actor=actor_of_key(keys.person.user_id, key_id))) == "not_permitted"
    assert (await keys.row(key_id)).last_used_at is None


async def test_the_keys_of_a_tenant_end_with_it(platform: Harness, keys: Keys) -> None:
    mine = [await keys.made("one"), await keys.made("two")]
    others = await Keys(keys.person, OTHER).made()
    await keys.revoke(mine[0])
    await platform.publish(TenantDeleted(tenant_id=TENANT), tenant_id=TENANT)
    assert [await keys.status(key_id) for key_id in mine] == ["revoked", "revoked"]
    assert await Keys(keys.person, OTHER).status(others) == "active"
    assert [event.key_id for event in await platform.events(ApiKeyRevoked)] == mine


async def test_the_keys_of_a_member_who_left_end_for_good(platform: Harness, keys: Keys) -> None:
    bob = Person(platform, email="bob@example.com", name="Bob")
    await bob.become_verified()
    adas, bobs, elsewhere = await keys.made(), await keys.made(actor=bob.user_id), await Keys(bob, OTHER).made()
    left = MemberRemoved(
        tenant_id=TENANT, user_id=bob.user_id, email=bob.email, name=bob.name, role="admin", reason="left"
    )
    await platform.publish(left, tenant_id=TENANT)
    assert [await keys.status(key_id) for key_id in (adas, bobs)] == ["active", "revoked"]
    assert await Keys(bob, OTHER).status(elsewhere) == "active"
    [event] = await platform.events(ApiKeyRevoked)
    assert (event.key_id, event.reason, event.revoked_by) == (bobs, "maker_left", None)


async def test_pages_of_keys_are_complete(platform: Harness, keys: Keys) -> None:
    made = []
    for number in range(5):
        platform.clock.at += timedelta(seconds=1)
        ends = platform.clock.at + timedelta(hours=1) if number % 4 == 0 else None
        made.append(await keys.made(str(number), expires_at=ends))
    assert (await keys.revoke(made[2])).status == "succeeded"
    platform.clock.at += timedelta(hours=1)
    edge = await Database.connect(platform.url, "prog_edge", max_size=1)
    try:
        async with edge.scope(tenant_id=TENANT) as connection:
            first = await queries.api_keys(connection, TENANT, limit=3)
            rest = await queries.api_keys(connection, TENANT, limit=3, cursor=first.next_cursor)
            good = await queries.api_keys(connection, TENANT, good_at=keys.now)
    finally:
        await edge.close()
    assert [row.key_id for row in good.rows] == [made[3], made[1]], "neither what was revoked nor what ran out"
    assert [row.key_id for row in (*first.rows, *rest.rows)] == made[::-1]
    assert (len(first.rows), rest.next_cursor) == (3, None)
