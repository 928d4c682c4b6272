"""From a story to what its page draws: rows with their place on the time line, and the figures above them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prog_edge.web.ports import Story, StoryNode

LONGEST_BAR_LINE_MILLISECONDS: Final = 120_000
"""A longer story spans pauses between things rather than work; bars would be dots, so offsets are told instead."""

_LEAST_WIDTH_PERCENT: Final = 0.8


@dataclass(frozen=True, slots=True)
class StoryRow:
    """`offset_milliseconds` counts from the first thing that happened; a bar's place is in percent of the line."""

    node: StoryNode
    note: str | None
    """What the node's title adds to its type."""
    offset_milliseconds: float
    bar_start: float
    bar_width: float
    children: Sequence[StoryRow]


@dataclass(frozen=True, slots=True)
class StoryTree:
    id: str
    title: str
    rows: Sequence[StoryRow]
    counts: Sequence[tuple[str, int]]
    """How many of each kind, in the order of kinds."""
    span_milliseconds: float
    began_at: datetime | None
    failures: int
    has_bars: bool
    truncated: bool


def story_tree(story: Story) -> StoryTree:
    nodes = [node for root in story.roots for node in _walk(root)]
    if not nodes:
        return StoryTree(story.id, story.title, (), (), 0.0, None, 0, False, story.truncated)
    began_at = min(node.at for node in nodes)
    span = max(_offset(node, began_at) + (node.milliseconds or 0.0) for node in nodes)
    kinds = Counter(node.kind for node in nodes)
    order = ("command", "event", "mail", "charge", "timer")
    return StoryTree(
        id=story.id,
        title=story.title,
        rows=[_row(root, began_at, span) for root in story.roots],
        counts=[(kind, kinds[kind]) for kind in order if kinds[kind]],  # type: ignore[index]  # the kinds of NodeKind
        span_milliseconds=span,
        began_at=began_at,
        failures=sum(1 for node in nodes if node.error),
        has_bars=0 < span <= LONGEST_BAR_LINE_MILLISECONDS,
        truncated=story.truncated,
    )


def _walk(node: StoryNode) -> Iterator[StoryNode]:
    yield node
    for child in node.children:
        yield from _walk(child)


def _offset(node: StoryNode, began_at: datetime) -> float:
    return (node.at - began_at).total_seconds() * 1000


def _spoken(message_type: str) -> str:
    """`create subscription` of `prognetwork.payments.create_subscription`."""
    return message_type.rpartition(".")[2].replace("_", " ")


def _row(node: StoryNode, began_at: datetime, span: float) -> StoryRow:
    offset = _offset(node, began_at)
    scale = 100 / span if span else 0.0
    width = max(_LEAST_WIDTH_PERCENT, (node.milliseconds or 0.0) * scale)
    return StoryRow(
        node=node,
        note=None if node.title.lower() == _spoken(node.type) else node.title,
        offset_milliseconds=offset,
        bar_start=round(min(offset * scale, 100 - _LEAST_WIDTH_PERCENT), 2),
        bar_width=round(min(width, 100.0), 2),
        children=[_row(child, began_at, span) for child in node.children],
    )
