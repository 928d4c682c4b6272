"""The users domain on a real database."""

from collections.abc import AsyncIterator

import pytest

from prog_workers.users.handlers import users
from tests.component.harness import Harness
from tests.component.users.people import Person


@pytest.fixture
async def platform(postgres: str) -> AsyncIterator[Harness]:
    async with Harness(postgres, users) as platform:
        yield platform


@pytest.fixture
def ada(platform: Harness) -> Person:
    return Person(platform)
