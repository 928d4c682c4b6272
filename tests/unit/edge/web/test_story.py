"""The causal story's drawing: places on the time line, counts and failures."""

from __future__ import annotations

from datetime import timedelta

from prog_edge.web.admin.story import story_tree
from prog_edge.web.ports import Story, StoryNode
from tests.unit.edge.web.sample_console import NOW, sample_story


def node(name: str, at_milliseconds: float, took: float | None = None, *children: StoryNode) -> StoryNode:
    return StoryNode(
        id=name,
        kind="event" if took is None else "command",
        type=name,
        title=name,
        status="succeeded",
        at=NOW + timedelta(milliseconds=at_milliseconds),
        milliseconds=took,
        actor="somebody",
        tenant_id="tenant",
        children=children,
    )


def test_bars_are_placed_between_the_first_and_the_last_instant() -> None:
    tree = story_tree(Story("x", "X", (node("a", 0, 20, node("b", 20), node("c", 50, 50)),)))

    assert tree.span_milliseconds == 100
    assert tree.has_bars
    root = tree.rows[0]
    assert (root.bar_start, root.bar_width) == (0, 20)
    assert [(row.bar_start, row.bar_width) for row in root.children] == [(20, 0.8), (50, 50)]


def test_a_story_of_weeks_tells_offsets_in_place_of_bars() -> None:
    month = timedelta(days=30).total_seconds() * 1000
    tree = story_tree(Story("x", "X", (node("a", 0, 5), node("b", month, 5))))

    assert not tree.has_bars
    assert tree.rows[1].offset_milliseconds == month


def test_every_row_fits_on_the_line() -> None:
    tree = story_tree(sample_story("x"))
    rows = list(tree.rows)
    while rows:
        row = rows.pop()
        assert 0 <= row.bar_start <= row.bar_start + row.bar_width <= 101
        rows += row.children


def test_kinds_and_failures_are_counted() -> None:
    tree = story_tree(sample_story("x"))

    assert tree.counts == [("command", 2), ("event", 4), ("mail", 2), ("charge", 1), ("timer", 1)]
    assert tree.failures == 1


def test_an_empty_story_has_no_line() -> None:
    tree = story_tree(Story("x", "X", ()))

    assert tree.rows == ()
    assert not tree.has_bars
