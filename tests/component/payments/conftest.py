"""A platform with the payments domain alone, the sandbox gateway, and a tenant that can buy."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from prog_workers.payments.app import domain
from prog_workers.payments.gateway.sandbox import Sandbox
from prog_workers.payments.handlers.domain import use_gateway
from tests.component.harness import Harness
from tests.component.payments.tenant import START, Tenant, new_tenant
from tests.lasting import kept


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with (
        Harness(postgres, domain, at=START) as platform,
        kept().database(postgres, "prog_payments") as database,
    ):
        use_gateway(Sandbox(database))
        yield platform


@pytest.fixture
async def tenant(platform: Harness) -> Tenant:
    return await new_tenant(platform)
