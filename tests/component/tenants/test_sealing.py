"""What a tenant shares with its provider rests under the tenant's own key, whenever it was given."""

from __future__ import annotations

from datetime import timedelta

import pytest

from prog_contracts.ids import new_id
from prog_contracts.tenants import SealTenantSecrets, WrapTenantKeys
from prog_kit.database import Database
from prog_kit.secrets import Sealer, SealError, sign_on_purpose
from prog_kit.tenant_secrets import CLIENT_SECRET, known_cipher
from prog_workers.tenants import queries
from prog_workers.tenants.handlers import secrecy
from tests.component.harness import SECRET_KEYS, Harness
from tests.component.tenants.company import START, Company, code
from tests.component.tenants.test_sign_on import configure

NEW = "fedcba9876543210" * 4
SCHEDULER = "prog-scheduler"


async def sealed(company: Company) -> str:
    """The row's text."""
    [row] = await company.platform.fetch(
        "SELECT sealed_client_secret FROM tenants.sign_on WHERE tenant_id = $1", company.tenant_id
    )
    return str(row["sealed_client_secret"])


async def opened(edge: Database, company: Company, sealer: Sealer) -> str:
    """What the edge asks the provider with."""
    async with edge.scope(tenant_id=company.tenant_id) as connection:
        row = await queries.sign_on(connection, company.tenant_id)
        assert row is not None
        return await queries.client_secret(connection, sealer, company.tenant_id, row)


async def before(company: Company, secret: str = "hush", sealer: Sealer | None = None) -> None:
    """Leaves the secret as it was kept before tenants had keys."""
    text = (sealer or company.platform.sealer).seal(secret, sign_on_purpose(company.tenant_id))
    await company.platform.fetch(
        "UPDATE tenants.sign_on SET sealed_client_secret = $2, sealed_under = 'platform' WHERE tenant_id = $1",
        company.tenant_id,
        text,
    )


async def opening(platform: Harness, name: str) -> Company:
    company = Company(platform, name=name, owner_email=f"owner@{name}.example")
    await company.open()
    assert (await configure(company)).status == "succeeded"
    return company


async def night(platform: Harness) -> None:
    """What the scheduler has the domain do every night."""
    assert (await platform.request(WrapTenantKeys(), actor=SCHEDULER)).status == "succeeded"
    await platform.settle()


async def test_a_client_secret_rests_under_the_tenant_s_key_and_opens_for_the_edge(
    platform: Harness, edge: Database, acme: Company
) -> None:
    assert (await configure(acme)).status == "succeeded"
    text = await sealed(acme)
    with pytest.raises(SealError):
        platform.sealer.open(text, sign_on_purpose(acme.tenant_id))
    assert await opened(edge, acme, platform.sealer) == "hush"
    assert (await configure(acme, sealed_client_secret=None, client_id="another")).status == "succeeded"
    assert await sealed(acme) == text, "one that is not given anew stays"


async def test_one_from_before_opens_and_is_sealed_anew_in_the_night(
    platform: Harness, edge: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    companies = [await opening(platform, name) for name in ("one", "two", "three")]
    for company in companies:
        await before(company, f"hush of {company.name}")
        assert await opened(edge, company, platform.sealer) == f"hush of {company.name}"
    assert (await configure(companies[0], sealed_client_secret=None, client_id="another")).status == "succeeded"
    assert await opened(edge, companies[0], platform.sealer) == "hush of one", "a change does not lose it"
    monkeypatch.setattr(secrecy, "BATCH", 2)
    await night(platform)
    assert not await platform.fetch("SELECT FROM tenants.sign_on WHERE sealed_under = 'platform'")
    for company in companies:
        assert await opened(edge, company, platform.sealer) == f"hush of {company.name}"
        async with edge.scope(tenant_id=company.tenant_id) as connection:
            cipher = await known_cipher(connection, platform.sealer, company.tenant_id)
        assert cipher.open(await sealed(company), CLIENT_SECRET) == f"hush of {company.name}"


async def test_it_outlives_a_rotation_of_the_platform_s_keys(platform: Harness, edge: Database, acme: Company) -> None:
    await configure(acme)
    late = await opening(platform, "late")
    await before(late)
    processor = platform.processors["tenants"]
    rotated = Sealer((NEW, *SECRET_KEYS))
    processor.sealer = rotated
    await night(platform)
    for company in (acme, late):
        assert await opened(edge, company, Sealer((NEW,))) == "hush", "nobody has to enter anything anew"


async def test_one_that_opens_no_more_is_passed_over_and_can_be_entered_anew(
    platform: Harness, edge: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, kept = await opening(platform, "lost"), await opening(platform, "kept")
    await before(lost, sealer=Sealer((NEW,)))
    await before(kept)
    monkeypatch.setattr(secrecy, "BATCH", 1)
    await night(platform)
    assert await opened(edge, kept, platform.sealer) == "hush", "the others' are sealed anew all the same"
    with pytest.raises(SealError):
        await opened(edge, lost, platform.sealer)
    assert (await configure(lost)).status == "succeeded"
    assert await opened(edge, lost, platform.sealer) == "hush"


async def test_a_tenant_whose_key_is_lost_gets_another_with_the_next_secret(
    platform: Harness, edge: Database, acme: Company
) -> None:
    await configure(acme)
    await platform.fetch(
        "UPDATE bus.tenant_keys SET wrapped = $1", Sealer((NEW,)).seal("x", f"tenant_key {acme.tenant_id}")
    )
    with pytest.raises(SealError):
        await opened(edge, acme, platform.sealer)
    assert (await configure(acme)).status == "succeeded"
    assert await opened(edge, acme, platform.sealer) == "hush"
    numbers = await platform.fetch("SELECT number FROM bus.tenant_keys ORDER BY number")
    assert [row["number"] for row in numbers] == [1, 2]


async def test_check_21_another_tenant_s_client_secret_does_not_open(
    platform: Harness, edge: Database, acme: Company
) -> None:
    await configure(acme)
    other = await opening(platform, "other")
    await platform.fetch(
        "UPDATE tenants.sign_on SET sealed_client_secret = $2 WHERE tenant_id = $1",
        other.tenant_id,
        await sealed(acme),
    )
    with pytest.raises(SealError):
        await opened(edge, other, platform.sealer)


async def test_a_purge_leaves_nothing_that_a_copy_of_the_row_opens_with(
    platform: Harness, edge: Database, acme: Company
) -> None:
    await configure(acme)
    copy = await sealed(acme)
    await acme.set_clock(START)
    assert (await acme.delete()).status == "succeeded"
    await platform.settle()
    assert await platform.fire_timers(acme.tenant_id, START + timedelta(days=30)) == 1
    assert not await platform.fetch("SELECT FROM tenants.sign_on")
    async with edge.scope(tenant_id=acme.tenant_id) as connection:
        with pytest.raises(SealError):
            await known_cipher(connection, platform.sealer, acme.tenant_id)
    with pytest.raises(SealError):
        platform.sealer.open(copy, sign_on_purpose(acme.tenant_id))


async def test_sealing_anew_is_for_processes_and_tells_them_ids_alone(platform: Harness, acme: Company) -> None:
    assert code(await platform.request(SealTenantSecrets(), actor=new_id("user"))) == "not_permitted"
    await configure(acme)
    await before(acme)
    domain = await Database.connect(platform.url, "prog_tenants", max_size=1)
    try:
        async with domain.scope() as connection:
            found = await connection.fetch("SELECT * FROM tenants.sealed_under_platform('', 10)")
            assert [tuple(row) for row in found] == [(acme.tenant_id,)]
            assert await connection.fetch("SELECT FROM tenants.sign_on") == []
    finally:
        await domain.close()
