"""Check 21 where workers read: two tenants on one pooled connection, with what goes wrong in between."""

from __future__ import annotations

import asyncio
import itertools

from prog_kit.database import Database
from tests.component.harness import Harness
from tests.component.tenants.company import Company

EVERYTHING = "SELECT tenant_id FROM tenants.tenants"


async def test_check_21_two_tenants_on_one_connection_of_a_worker_never_cross(platform: Harness, acme: Company) -> None:
    other = Company(platform, name="Other Ltd", owner_email="other@example.com")
    await other.open()
    worker = await Database.connect(platform.url, "prog_tenants", max_size=1)
    turns = itertools.cycle((acme.tenant_id, other.tenant_id, None))

    async def visit(number: int, tenant_id: str | None) -> None:
        async with worker.scope(tenant_id=tenant_id) as connection:
            seen = {row["tenant_id"] for row in await connection.fetch(EVERYTHING)}
            assert seen - {tenant_id} <= set(), f"{seen} for {tenant_id}"
            assert tenant_id is None or seen == {tenant_id}
            if number % 5 == 0:
                raise ZeroDivisionError
            if number % 7 == 0:
                await connection.execute("SELECT 1 / 0")

    try:
        ends = await asyncio.gather(
            *(visit(*turn) for turn in zip(range(60), turns, strict=False)), return_exceptions=True
        )
        failures = [end for end in ends if end is not None]
        assert not [failure for failure in failures if isinstance(failure, AssertionError)]
        assert len(failures) == len({n for n in range(60) if n % 5 == 0 or n % 7 == 0})
        async with worker.scope() as connection:
            assert await connection.fetch(EVERYTHING) == []
            assert await connection.fetchval("SELECT current_setting('prog.tenant_id', true)") in (None, "")
    finally:
        await worker.close()
