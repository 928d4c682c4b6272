"""Which test modules come first: those that take long, so that none of them is begun last while other workers idle.

What a module takes is estimated by what its tests ask for. `slow` may say it better: `pytest.mark.slow(60)` is a test
of about a minute.
"""

import pytest

_SECONDS = {"postgres": 0.4, "module_postgres": 0.4, "valkey_url": 0.2, "kafka_url": 1.0}
_SLOW = 6.0
_BROWSER = 4.0
_LEAST = 0.02


def longest_modules_first(items: list[pytest.Item]) -> None:
    """Sort in place. Tests of a module keep their order."""
    seconds: dict[str, float] = {}
    for item in items:
        module = _module(item)
        seconds[module] = seconds.get(module, 0.0) + _estimate(item)
    items.sort(key=lambda item: (-seconds[_module(item)], _module(item)))


def _module(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _estimate(item: pytest.Item) -> float:
    slow = item.get_closest_marker("slow")
    if slow is not None:
        return float(slow.args[0]) if slow.args else _SLOW
    if item.get_closest_marker("browser") is not None:
        return _BROWSER
    fixtures = getattr(item, "fixturenames", ())
    return max((seconds for fixture, seconds in _SECONDS.items() if fixture in fixtures), default=_LEAST)
