"""The tenants domain on a real database."""

from collections.abc import AsyncIterator

import pytest

from prog_kit.database import Database
from prog_workers.tenants.handlers import tenants
from tests.component.harness import Harness
from tests.component.tenants.company import Company
from tests.lasting import kept


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with Harness(postgres, tenants) as platform:
        yield platform


@pytest.fixture
async def edge(platform: Harness) -> AsyncIterator[Database]:
    async with kept().database(platform.url, "prog_edge") as database:
        yield database


@pytest.fixture
async def acme(platform: Harness) -> Company:
    """A tenant that is open, with its owner."""
    company = Company(platform)
    await company.open()
    return company
