"""The audit trail of a fresh database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.component.events.trail import Trail, tenants, trail_of
from tests.component.harness import Harness


@pytest.fixture
def postgres(lone_postgres: str) -> str:
    """What the relay, replays and the trail read waits for older transactions, of which there are none here."""
    return lone_postgres


@pytest.fixture
async def trail(postgres: str) -> AsyncIterator[Trail]:
    async with Harness(postgres, tenants) as platform, trail_of(platform) as trail:
        yield trail
