"""Keyset pages: rows and an opaque cursor that stays true while rows are added."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeAlias, TypeVar
from uuid import UUID

import orjson

from prog_contracts.errors import Invalid

MAX_LIMIT: Final = 500

Row = TypeVar("Row")
Part: TypeAlias = int | str | UUID | datetime
Kind: TypeAlias = type[int] | type[str] | type[UUID] | type[datetime]
"""What a part of a cursor may be."""


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, and the cursor of the ones after them; None at the end."""

    rows: Sequence[Row]
    next_cursor: str | None = None


def page_of(rows: Sequence[Row], size: int, place: Callable[[Row], tuple[Part, ...]]) -> Page[Row]:
    """The first `size` of rows that were asked for with one more, which tells that there are others after them.

    `place` is where a row stands in the list's order: what the cursor remembers of the page's last one.
    """
    if len(rows) <= size:
        return Page(rows)
    return Page(rows[:size], encode_cursor(*place(rows[size - 1])))


class Where:
    """Conditions of a WHERE clause, collected with their values. Conditions are constants; `{}` becomes `$n`."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        self._conditions.append(condition.format(*(self.value(value) for value in values)))

    def value(self, value: Any) -> str:
        """Keeps a value and returns its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"

    def __str__(self) -> str:
        return " AND ".join(self._conditions) or "true"


def bounded(limit: int) -> int:
    """A limit between 1 and MAX_LIMIT."""
    return max(1, min(limit, MAX_LIMIT))


def encode_cursor(*parts: Part) -> str:
    """An opaque text that `decode_cursor` turns into the same parts."""
    return base64.urlsafe_b64encode(orjson.dumps(parts, default=str)).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: Kind) -> list[Any]:
    """The parts of a cursor. Raises Invalid when it was not made by `encode_cursor` with parts of these kinds."""
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(parts, list) and len(parts) == len(kinds):
            return [_part(part, kind) for part, kind in zip(parts, kinds, strict=True)]
    except ValueError:
        pass
    raise Invalid.field("cursor", "bad_cursor", "The cursor is not one that this list gave out.")


def _part(part: Any, kind: Kind) -> Part:
    if kind is int and type(part) is int:
        return part
    if kind is int or not isinstance(part, str):
        raise ValueError(part)
    if kind is str:
        return part
    return UUID(part) if kind is UUID else datetime.fromisoformat(part)
