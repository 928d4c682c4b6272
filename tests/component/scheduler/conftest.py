"""A platform with the tenants domain and a stand-in for payments whose subscriptions renew by timers."""

from collections.abc import AsyncIterator

import pytest

from prog_kit.database import Database
from tests.component.harness import Harness
from tests.component.scheduler.subscribers import Subscribers


@pytest.fixture
async def subscribers(postgres: str) -> AsyncIterator[Subscribers]:
    subscribers = Subscribers()
    async with Harness(postgres, *subscribers.domains) as platform:
        await subscribers.begin(platform)
        yield subscribers


@pytest.fixture
async def scheduler(postgres: str) -> AsyncIterator[Database]:
    """The scheduler's own way to the database."""
    database = await Database.connect(postgres, "prog_scheduler", max_size=6)
    yield database
    await database.close()
