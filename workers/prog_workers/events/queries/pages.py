"""Keyset pages: rows and an opaque cursor that stays true while rows are added."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson

from prog_contracts.errors import Invalid
from prog_kit.pages import MAX_LIMIT, Page, Where, bounded

__all__ = ["MAX_LIMIT", "Page", "Where", "bounded", "decode_cursor", "encode_cursor"]


def encode_cursor(*parts: int | UUID | datetime) -> str:
    """An opaque text that `decode_cursor` turns into the same parts."""
    return base64.urlsafe_b64encode(orjson.dumps(parts, default=str)).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type[int] | type[UUID] | type[datetime]) -> list[Any]:
    """The parts of a cursor. Raises Invalid when it was not made by `encode_cursor` with parts of these kinds."""
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if isinstance(parts, list) and len(parts) == len(kinds):
            return [_part(part, kind) for part, kind in zip(parts, kinds, strict=True)]
    except ValueError:
        pass
    raise Invalid.field("cursor", "bad_cursor", "The cursor is not one that this list gave out.")


def _part(part: Any, kind: type[int] | type[UUID] | type[datetime]) -> int | UUID | datetime:
    if kind is int and type(part) is int:
        return part
    if kind is int or not isinstance(part, str):
        raise ValueError(part)
    return UUID(part) if kind is UUID else datetime.fromisoformat(part)
