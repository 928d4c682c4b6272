"""Which tests come first, and which of them are dealt out as one."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from tests.order import ON_KAFKA, longest_first, unit_of


def item(nodeid: str, *fixtures: str, seconds: float | None = None, **params: str) -> Any:
    mark = None if seconds is None else pytest.mark.slow(seconds).mark
    return SimpleNamespace(
        nodeid=nodeid,
        fixturenames=fixtures,
        callspec=SimpleNamespace(params=params),
        get_closest_marker=lambda name: mark if name == "slow" else None,
    )


def ordered(items: Sequence[Any]) -> list[str]:
    mine = list(items)
    longest_first(mine)
    return [each.nodeid for each in mine]


@pytest.mark.parametrize(
    ("nodeid", "unit"),
    [
        ("tests/integration/broker/test_relay.py::test_order[kafka]", ON_KAFKA),
        ("tests/integration/broker/test_relay.py::test_order[kafka-3]", ON_KAFKA),
        ("tests/integration/broker/test_relay.py::test_order[redis]", "tests/integration/broker/test_relay.py"),
        ("tests/integration/bus/test_kafka.py::TestIt::test_a_tail", ON_KAFKA),
        ("tests/deploy/test_one_machine.py::TestChart::test_it_serves[kafka]", ON_KAFKA),
        ("tests/integration/infra/test_up_kafka.py::test_a_story", "tests/integration/infra/test_up_kafka.py"),
    ],
)
def test_the_tests_on_kafka_are_one_unit_and_all_others_go_by_module(nodeid: str, unit: str) -> None:
    assert unit_of(nodeid) == unit


def test_kafka_comes_first_and_then_what_takes_longest() -> None:
    assert ordered(
        [
            item("tests/a.py::test_quick"),
            item("tests/b.py::test_quick"),
            item("tests/b.py::test_slow", seconds=30),
            item("tests/c.py::test_database", "postgres"),
            item("tests/integration/broker/test_relay.py::test_it[redis]", "postgres", broker="redis"),
            item("tests/integration/broker/test_relay.py::test_it[kafka]", "postgres", broker="kafka"),
        ]
    ) == [
        "tests/integration/broker/test_relay.py::test_it[kafka]",
        "tests/b.py::test_quick",
        "tests/b.py::test_slow",
        "tests/c.py::test_database",
        "tests/integration/broker/test_relay.py::test_it[redis]",
        "tests/a.py::test_quick",
    ]


@pytest.mark.parametrize(
    "asking", [item("tests/a.py::test_it", "kafka_url"), item("tests/a.py::test_it[kafka-1]", broker="kafka")]
)
def test_one_that_asks_for_kafka_and_does_not_say_so_is_refused(asking: Any) -> None:
    with pytest.raises(pytest.UsageError, match=r"tests/a\.py::test_it.* asks for Kafka, and its id does not tell"):
        ordered([asking])
