"""A platform with the payments domain alone, the sandbox gateway, and a tenant that can buy."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from prog_kit.database import Database
from prog_workers.payments.app import domain
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.handlers.domain import use_gateway
from tests.component.harness import Harness
from tests.component.payments.tenant import START, Tenant, new_tenant


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with Harness(postgres, domain, at=START) as platform:
        database = await Database.connect(postgres, "prog_payments", max_size=4)
        use_gateway(Sandbox(database))
        yield platform
        await database.close()


@pytest.fixture
async def tenant(platform: Harness) -> Tenant:
    return await new_tenant(platform)
