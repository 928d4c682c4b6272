"""Which test modules come first: those that take long, so that none of them is begun last while other workers idle.

What a module takes is estimated by what its tests ask for. `slow` may say it better: `pytest.mark.slow(60)` is a test
of about a minute. Before all others come those that ask for Kafka, which takes a twentieth of a core while it waits: it
rests when they are through.
"""

import pytest

_SECONDS = {"postgres": 0.4, "module_postgres": 0.4, "valkey_url": 0.2, "kafka_url": 1.0}
_KAFKA = frozenset({"kafka_url", "empty_kafka"})
_SLOW = 6.0
_BROWSER = 4.0
_LEAST = 0.02


def longest_modules_first(items: list[pytest.Item]) -> frozenset[str]:
    """Sort in place; tests of a module keep their order. Returns the modules that ask for Kafka, which come first."""
    seconds: dict[str, float] = {}
    kafka: set[str] = set()
    for item in items:
        module = module_of(item)
        seconds[module] = seconds.get(module, 0.0) + _estimate(item)
        if _asks_for_kafka(item):
            kafka.add(module)
    items.sort(key=lambda item: (module_of(item) not in kafka, -seconds[module_of(item)], module_of(item)))
    return frozenset(kafka)


def module_of(item: pytest.Item) -> str:
    """The path of the test's module."""
    return item.nodeid.partition("::")[0]


def _asks_for_kafka(item: pytest.Item) -> bool:
    """By itself, or as the broker that the test is run on."""
    callspec = getattr(item, "callspec", None)
    chosen = None if callspec is None else callspec.params.get("broker")
    return chosen == "kafka" or not _KAFKA.isdisjoint(getattr(item, "fixturenames", ()))


def _estimate(item: pytest.Item) -> float:
    slow = item.get_closest_marker("slow")
    if slow is not None:
        return float(slow.args[0]) if slow.args else _SLOW
    if item.get_closest_marker("browser") is not None:
        return _BROWSER
    fixtures = getattr(item, "fixturenames", ())
    return max((seconds for fixture, seconds in _SECONDS.items() if fixture in fixtures), default=_LEAST)
