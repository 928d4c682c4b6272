"""Which tests come first, and which of them one process runs.

First come the modules that take long, so that none of them is begun last while other workers idle. What a module takes
is estimated by what its tests ask for. `slow` may say it better: `pytest.mark.slow(60)` is a test of about a minute.

Most workers run whole modules. What is costly to have is had once: one worker runs all tests on Kafka, before all
others, and one all those in a browser. It starts what they ask for, and ends it with the last of them: a Kafka takes
ten seconds of processor, and a twentieth of a core while it waits. The process that deals the tests out knows nothing
of them but their ids, so the ids tell. All that holds for `--dist loadfile`, as in Taskfile.yml.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import pytest
from xdist.scheduler import LoadScopeScheduling

ON_KAFKA: Final = "the tests on Kafka"
IN_A_BROWSER: Final = "the tests in a browser"
_NAMED_FOR_KAFKA: Final = re.compile(
    # Those of other modules of infra have servers of their own.
    r"tests/integration/(broker/|bus/|infra/test_doctor|infra/test_shared_).*kafka|.*\[kafka\]$"
)

_SECONDS = {"postgres": 0.4, "module_postgres": 0.4, "valkey_url": 0.2}
_SLOW = 6.0
_BROWSER = 4.0
_LEAST = 0.02


class Dealer(LoadScopeScheduling):  # type: ignore[misc]
    """Deals whole units out to the workers of pytest-xdist."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


class Shared(Protocol):
    """What the tests of a unit share, and nobody else needs; closed, it starts again for who asks."""

    def close(self) -> None: ...


_SHARED: Final = pytest.StashKey[dict[str, list[Shared]]]()


def share(config: pytest.Config, unit: str, server: Shared) -> None:
    """Have it closed whenever no test of this unit comes next."""
    config.stash.setdefault(_SHARED, {}).setdefault(unit, []).append(server)


@contextmanager
def closing_with_unit(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """Around the end of a test, which may fail: afterwards close what its unit shares, if it was the last of it."""
    try:
        yield
    finally:
        unit = unit_of(item.nodeid)
        if nextitem is None or unit_of(nextitem.nodeid) != unit:
            for server in item.config.stash.get(_SHARED, {}).get(unit, []):
                server.close()


def unit_of(nodeid: str) -> str:
    """What one worker runs as a whole: ON_KAFKA, IN_A_BROWSER, or the path of the test's module."""
    if _NAMED_FOR_KAFKA.match(nodeid):
        return ON_KAFKA
    return IN_A_BROWSER if nodeid.startswith("tests/browser/") else nodeid.partition("::")[0]


def longest_first(items: list[pytest.Item]) -> None:
    """Sort in place by units; tests of a module keep their order, but that a Kafka is emptied before it is filled."""
    seconds: dict[str, float] = {}
    for item in items:
        unit = unit_of(item.nodeid)
        seconds[unit] = seconds.get(unit, 0.0) + _estimate(item)
    seconds[ON_KAFKA] = float("inf")

    def place(item: pytest.Item) -> tuple[float, str, bool, str]:
        unit = unit_of(item.nodeid)
        fills = unit == ON_KAFKA and "empty_kafka" not in getattr(item, "fixturenames", ())
        return -seconds[unit], unit, fills, item.nodeid.partition("::")[0]

    items.sort(key=place)


def _estimate(item: pytest.Item) -> float:
    slow = item.get_closest_marker("slow")
    if slow is not None:
        return float(slow.args[0]) if slow.args else _SLOW
    if item.get_closest_marker("browser") is not None:
        return _BROWSER
    fixtures = getattr(item, "fixturenames", ())
    return max((seconds for fixture, seconds in _SECONDS.items() if fixture in fixtures), default=_LEAST)
