"""Keyset pages, newest first: rows and an opaque cursor that stays true while rows are added."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import asyncpg
import orjson

from prog_contracts.errors import Invalid
from prog_contracts.ids import is_id
from prog_kit.database import Connection

MAX_LIMIT: Final = 500

Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Rows, and the cursor of the ones after them; None at the end."""

    rows: Sequence[Row]
    next_cursor: str | None = None


class Selection:
    """Conditions of a WHERE clause with their values. Conditions are constants of the code; `{}` becomes `$n`."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._conditions: list[str] = []

    def add(self, condition: str, *values: Any) -> None:
        """Adds a condition, unless one of its values is None: a filter that was not asked for."""
        if any(value is None for value in values):
            return
        places = []
        for value in values:
            self.values.append(value)
            places.append(f"${len(self.values)}")
        self._conditions.append(condition.format(*places))

    def __str__(self) -> str:
        return " AND ".join(self._conditions) or "true"


async def page(
    connection: Connection,
    query: str,
    selection: Selection,
    make: Callable[[asyncpg.Record], Row],
    *,
    time: str,
    key: str,
    limit: int,
    cursor: str | None,
) -> Page[Row]:
    """The rows of `query` that the selection admits, by the columns `time` and `key`, newest first.

    Raises Invalid for a cursor that no list gave out.
    """
    if cursor is not None:
        selection.add(f"({time}, {key}) < ({{}}, {{}})", *_decode(cursor))
    bound = max(1, min(limit, MAX_LIMIT))
    rows = await connection.fetch(
        f"SELECT *, {time} AS keyset_time, {key} AS keyset_key FROM ({query}) AS listed WHERE {selection}"
        f" ORDER BY {time} DESC, {key} DESC LIMIT {bound + 1}",
        *selection.values,
    )
    more = _encode(rows[bound - 1]) if len(rows) > bound else None
    return Page([make(row) for row in rows[:bound]], more)


def _encode(row: asyncpg.Record) -> str:
    parts = [row["keyset_time"].isoformat(), row["keyset_key"]]
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def _decode(cursor: str) -> tuple[datetime, str]:
    try:
        time, key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        instant = datetime.fromisoformat(time)
    except (ValueError, TypeError, binascii.Error):
        instant, key = None, ""
    if instant is None or instant.tzinfo is None or not isinstance(key, str) or not is_id(key):
        raise Invalid.field("cursor", "bad_cursor", "The cursor is not one that this list gave out.")
    return instant, key
