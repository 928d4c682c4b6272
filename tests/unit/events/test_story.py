"""Messages form trees by their causes, whatever order, holes or corruption they come with."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_workers.events.rules import Story, StoryNode, assemble

START = datetime(2027, 1, 1, tzinfo=UTC)


def message(number: int, cause: int | None = None, *, at: int | None = None) -> StoryNode:
    instant = START + timedelta(seconds=number if at is None else at)
    return StoryNode(
        message_id=UUID(int=number),
        kind="event",
        type="prognetwork.users.user_created",
        tenant_id=PLATFORM_TENANT_ID,
        correlation_id=UUID(int=1),
        causation_id=None if cause is None else UUID(int=cause),
        occurred_at=instant,
        recorded_at=instant,
    )


def shape(story: Story) -> list[object]:
    """Numbers of messages, nested as they caused each other."""

    def of(node: StoryNode) -> object:
        number = node.message_id.int
        return (number, [of(child) for child in node.children]) if node.children else number

    return [of(root) for root in story.roots]


def test_effects_hang_under_their_causes_oldest_first() -> None:
    story = assemble("x", [message(4, 2), message(1), message(3, 1), message(2, 1), message(5, 4)])
    assert shape(story) == [(1, [(2, [(4, [5])]), 3])]
    assert [node.message_id.int for node in story.walk()] == [1, 2, 4, 5, 3]
    assert not story.truncated


def test_a_message_whose_cause_is_unknown_begins_a_tree() -> None:
    assert shape(assemble("x", [message(2, 99), message(3, 2), message(7)])) == [(2, [3]), 7]


def test_an_effect_recorded_before_its_cause_still_hangs_under_it() -> None:
    assert shape(assemble("x", [message(1, at=5), message(2, 1, at=0)])) == [(1, [2])]


def test_a_message_that_causes_itself_is_a_root() -> None:
    assert shape(assemble("x", [message(1, 1), message(2, 1)])) == [(1, [2])]


def test_a_cycle_begins_with_its_earliest_message() -> None:
    assert shape(assemble("x", [message(3, 2), message(2, 1), message(1, 3), message(4, 3)])) == [
        (1, [(2, [(3, [4])])])
    ]


def test_a_message_given_twice_counts_once_and_the_first_wins() -> None:
    first = message(1)
    story = assemble("x", [first, message(1, at=50), message(2, 1)])
    assert shape(story) == [(1, [2])]
    assert story.roots[0].recorded_at == first.recorded_at


def test_the_oldest_are_kept_and_the_cut_is_told() -> None:
    story = assemble("x", [message(n, n - 1) for n in range(1, 8)], limit=3)
    assert shape(story) == [(1, [(2, [3])])]
    assert story.truncated


def test_a_chain_as_long_as_the_limit_needs_no_deep_stack() -> None:
    story = assemble("x", [message(n, n - 1) for n in range(1, 5001)], limit=5000)
    assert sum(1 for _ in story.walk()) == 5000


@given(st.lists(st.tuples(st.integers(1, 30), st.none() | st.integers(1, 35)), max_size=60), st.randoms())
def test_every_message_appears_once_in_any_order(pairs: list[tuple[int, int | None]], chance: random.Random) -> None:
    nodes = list({number: message(number, cause) for number, cause in pairs}.values())
    story = assemble("x", nodes)
    assert sorted(node.message_id.int for node in story.walk()) == sorted(node.message_id.int for node in nodes)
    chance.shuffle(nodes)
    assert assemble("x", nodes) == story


@given(st.lists(st.tuples(st.integers(1, 30), st.none() | st.integers(1, 35)), max_size=60))
def test_a_child_is_where_its_cause_is(pairs: list[tuple[int, int | None]]) -> None:
    story = assemble("x", [message(number, cause) for number, cause in dict(pairs).items()])
    for node in story.walk():
        assert all(child.causation_id == node.message_id for child in node.children)
