"""Component tests run on one loop, one after the other, and hand connections on: `tests.lasting`."""

from asyncio import AbstractEventLoop
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests import lasting


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], AbstractEventLoop]]:
    return {"lasting": lambda: lasting.kept().loop}


@pytest.fixture(scope="session", autouse=True)
def kept() -> Iterator[None]:
    yield
    lasting.kept().end()
