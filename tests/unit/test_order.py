"""Which tests come first, and which of them are dealt out as one."""

from collections.abc import Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any, cast

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.order import IN_A_BROWSER, ON_KAFKA, Dealer, closing_with_unit, longest_first, share, unit_of


def item(nodeid: str, *fixtures: str, seconds: float | None = None) -> Any:
    mark = None if seconds is None else pytest.mark.slow(seconds).mark
    return SimpleNamespace(
        nodeid=nodeid,
        fixturenames=fixtures,
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
        ("tests/browser/test_people.py::test_an_avatar", IN_A_BROWSER),
        ("tests/unit/edge/test_avatars.py::test_a_picture[kafka.png]", "tests/unit/edge/test_avatars.py"),
    ],
)
def test_the_tests_on_kafka_and_those_in_a_browser_are_a_unit_and_all_others_go_by_module(
    nodeid: str, unit: str
) -> None:
    assert unit_of(nodeid) == unit


def test_kafka_comes_first_and_then_what_takes_longest() -> None:
    assert ordered(
        [
            item("tests/a.py::test_quick"),
            item("tests/b.py::test_quick"),
            item("tests/b.py::test_slow", seconds=30),
            item("tests/c.py::test_database", "postgres"),
            item("tests/integration/broker/test_relay.py::test_it[redis]", "postgres"),
            item("tests/integration/broker/test_relay.py::test_it[kafka]", "postgres"),
        ]
    ) == [
        "tests/integration/broker/test_relay.py::test_it[kafka]",
        "tests/b.py::test_quick",
        "tests/b.py::test_slow",
        "tests/c.py::test_database",
        "tests/integration/broker/test_relay.py::test_it[redis]",
        "tests/a.py::test_quick",
    ]


def test_a_kafka_is_emptied_before_it_is_filled() -> None:
    fills, empties = (
        "tests/integration/broker/test_a.py::test_it[kafka]",
        "tests/integration/bus/test_kafka.py::test_it",
    )
    assert ordered([item(fills, "kafka_url"), item(empties, "kafka_url", "empty_kafka")]) == [empties, fills]


class Server:
    def __init__(self) -> None:
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


KAFKA, NEXT, BROWSER = (
    "tests/integration/bus/test_kafka.py::test_a", "tests/integration/bus/test_kafka.py::test_b",
    "tests/browser/test_people.py::test_a",
)  # fmt: skip


@pytest.mark.parametrize(
    ("last", "following", "closed"), [(KAFKA, NEXT, 0), (KAFKA, BROWSER, 1), (KAFKA, None, 1), (BROWSER, KAFKA, 0)]
)
@pytest.mark.parametrize("fails", [False, True])
def test_what_a_unit_shares_is_closed_after_its_last_test_however_that_ends(
    last: str, following: str | None, closed: int, fails: bool
) -> None:
    server, config = Server(), SimpleNamespace(stash=pytest.Stash())
    share(cast(pytest.Config, config), ON_KAFKA, server)
    ending = item(last)
    ending.config = config
    with suppress(RuntimeError), closing_with_unit(ending, None if following is None else item(following)):
        if fails:
            raise RuntimeError
    assert server.closed == closed


def test_the_dealer_deals_where_its_library_asks() -> None:
    """By a name that is not public: another version may have another one."""
    assert vars(Dealer).keys() & vars(LoadScopeScheduling).keys() >= {"_split_scope"}
