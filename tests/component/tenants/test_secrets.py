"""Each tenant's secrets rest under its own key, which ends with the tenant and outlives a rotation."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import asyncpg
import pytest

from prog_contracts.ids import new_id
from prog_contracts.tenants import WrapTenantKeys
from prog_kit.database import Database
from prog_kit.secrets import Sealer, SealError
from prog_kit.tenant_secrets import TenantCipher, known_cipher, rotate_key, tenant_cipher, wrap_anew
from prog_workers.tenants.handlers import secrecy
from tests.component.harness import SECRET_KEYS, Harness
from tests.component.tenants.company import START, Company, code

NEW = "fedcba9876543210" * 4
PURPOSE = "client_secret"


async def cipher_of(database: Database, sealer: Sealer, tenant_id: str) -> TenantCipher:
    async with database.scope(tenant_id=tenant_id) as connection:
        return await tenant_cipher(connection, sealer, tenant_id)


@pytest.fixture
async def users(platform: Harness) -> Database:
    """Another domain than the one that owns tenants."""
    database = await Database.connect(platform.url, "prog_users", max_size=4)
    platform._exits.push_async_callback(database.close)
    return database


async def test_what_a_tenant_seals_opens_for_it_and_its_purpose_alone(
    platform: Harness, acme: Company, users: Database, edge: Database
) -> None:
    mine = await cipher_of(users, platform.sealer, acme.tenant_id)
    theirs = await cipher_of(users, platform.sealer, new_id("tenant"))
    sealed = mine.seal("hunter2", PURPOSE)
    assert "hunter2" not in sealed
    assert sealed != mine.seal("hunter2", PURPOSE)
    again = await cipher_of(users, platform.sealer, acme.tenant_id)
    assert again.open(sealed, PURPOSE) == "hunter2"
    for cipher, purpose in ((theirs, PURPOSE), (mine, "another")):
        with pytest.raises(SealError):
            cipher.open(sealed, purpose)
    for broken in ("", "x", "é", sealed[:-4], "A" * 300):
        with pytest.raises(SealError):
            mine.open(broken, PURPOSE)
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        assert (await known_cipher(connection, platform.sealer, acme.tenant_id)).open(sealed, PURPOSE) == "hunter2"
        with pytest.raises(SealError):
            await known_cipher(connection, platform.sealer, new_id("tenant"))


async def test_the_database_alone_reads_nothing(platform: Harness, acme: Company, users: Database) -> None:
    await cipher_of(users, platform.sealer, acme.tenant_id)
    with pytest.raises(SealError):
        await cipher_of(users, Sealer((NEW,)), acme.tenant_id)


async def test_a_key_that_is_moved_to_another_tenant_opens_nothing(
    platform: Harness, acme: Company, users: Database
) -> None:
    await cipher_of(users, platform.sealer, acme.tenant_id)
    other = new_id("tenant")
    await platform.admin.execute("UPDATE bus.tenant_keys SET tenant_id = $1", other)
    with pytest.raises(SealError):
        await cipher_of(users, platform.sealer, other)


async def test_of_many_who_ask_at_once_all_get_the_same_key(platform: Harness, acme: Company, users: Database) -> None:
    ciphers = await asyncio.gather(*(cipher_of(users, platform.sealer, acme.tenant_id) for _ in range(4)))
    sealed = ciphers[0].seal("secret", PURPOSE)
    assert {cipher.open(sealed, PURPOSE) for cipher in ciphers} == {"secret"}
    assert len(await platform.fetch("SELECT FROM bus.tenant_keys")) == 1


async def test_a_new_key_seals_and_the_old_one_opens(platform: Harness, acme: Company, users: Database) -> None:
    before = (await cipher_of(users, platform.sealer, acme.tenant_id)).seal("secret", PURPOSE)
    async with users.scope(tenant_id=acme.tenant_id) as connection:
        rotated = await rotate_key(connection, platform.sealer, acme.tenant_id)
    assert rotated.open(before, PURPOSE) == "secret"
    assert not rotated.is_current(before)
    assert rotated.is_current(rotated.seal("secret", PURPOSE))


async def test_a_rotation_of_the_platforms_keys_wraps_every_tenants_key_anew(
    platform: Harness, acme: Company, users: Database
) -> None:
    tenants = [acme.tenant_id, new_id("tenant")]
    sealed = [(await cipher_of(users, platform.sealer, tenant)).seal("secret", PURPOSE) for tenant in tenants]
    both = Sealer((NEW, *SECRET_KEYS))
    domain = await Database.connect(platform.url, "prog_tenants", max_size=1)
    try:
        async with domain.scope() as connection:
            first = await wrap_anew(connection, both, 1)
            assert first is not None
            assert await wrap_anew(connection, both, 10, first) is None
            left = await connection.fetchval(
                "SELECT count(*) FROM bus.tenant_keys WHERE NOT starts_with(wrapped, $1)", both.mark
            )
            assert left == 0
    finally:
        await domain.close()
    for tenant, text in zip(tenants, sealed, strict=True):
        assert (await cipher_of(users, Sealer((NEW,)), tenant)).open(text, PURPOSE) == "secret"


async def test_a_key_that_does_not_open_keeps_no_other_from_being_wrapped_anew(
    platform: Harness, acme: Company, users: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrecy, "BATCH", 1)
    tenants = sorted(new_id("tenant") for _ in range(3))
    for tenant in tenants:
        await cipher_of(users, platform.sealer, tenant)
    await platform.admin.execute("UPDATE bus.tenant_keys SET wrapped = 'x' || wrapped WHERE tenant_id = $1", tenants[0])
    monkeypatch.setattr(platform.processors["tenants"], "sealer", Sealer((NEW, *SECRET_KEYS)))
    await platform.request(WrapTenantKeys(), actor="prog-scheduler")
    await platform.settle()
    for tenant in tenants[1:]:
        await cipher_of(users, Sealer((NEW,)), tenant)


async def test_the_nightly_command_is_for_processes(platform: Harness, acme: Company) -> None:
    assert code(await platform.request(WrapTenantKeys(), actor=new_id("user"))) == "not_permitted"
    assert (await platform.request(WrapTenantKeys(), actor="prog-scheduler")).status == "succeeded"


async def test_a_purged_tenants_secrets_open_no_more(platform: Harness, acme: Company, users: Database) -> None:
    kept = (await cipher_of(users, platform.sealer, acme.tenant_id)).seal("secret", PURPOSE)
    await acme.set_clock(START)
    assert (await acme.delete()).status == "succeeded"
    await platform.settle()
    assert await platform.fire_timers(acme.tenant_id, START + timedelta(days=30)) == 1
    async with users.scope(tenant_id=acme.tenant_id) as connection:
        with pytest.raises(SealError):
            await known_cipher(connection, platform.sealer, acme.tenant_id)
    with pytest.raises(SealError):
        (await cipher_of(users, platform.sealer, acme.tenant_id)).open(kept, PURPOSE)


async def test_check_21_no_domain_reads_or_takes_a_key_of_another_tenant(
    platform: Harness, acme: Company, users: Database, edge: Database
) -> None:
    await cipher_of(users, platform.sealer, acme.tenant_id)
    for database in (users, edge):
        for tenant_id in (None, new_id("tenant")):
            async with database.scope(tenant_id=tenant_id) as connection:
                assert await connection.fetch("SELECT FROM bus.tenant_keys") == []
    for statement in ("DELETE FROM bus.tenant_keys", "UPDATE bus.tenant_keys SET wrapped = ''"):
        for database in (users, edge):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with database.scope(tenant_id=acme.tenant_id) as connection:
                    await connection.execute(statement)
