"""The email domain on a real database, with a provider whose answers the test decides."""

from collections.abc import AsyncIterator

import pytest

from prog_workers.email.delivery import Delivery
from prog_workers.email.handlers import email, open_office
from prog_workers.email.render import Renderer
from tests.component.email.providers import ScriptedProvider
from tests.component.harness import Harness

SENDER = "ProgNetwork <hello@prognetwork.example>"


@pytest.fixture
def provider() -> ScriptedProvider:
    return ScriptedProvider()


@pytest.fixture
async def platform(postgres: str, provider: ScriptedProvider) -> AsyncIterator[Harness]:
    open_office(Delivery(provider, Renderer("https://prog.example"), SENDER))
    async with Harness(postgres, email) as platform:
        yield platform
