"""Cursors come back as they were given out, and strangers' are refused."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.errors import Invalid
from prog_kit.pages import MAX_LIMIT, Page, bounded, decode_cursor, encode_cursor, page_of


@given(st.integers(0, 2**53), st.datetimes(timezones=st.just(UTC)), st.uuids(), st.text())
def test_a_cursor_comes_back(number: int, instant: datetime, message_id: UUID, text: str) -> None:
    cursor = encode_cursor(number, instant, message_id, text)
    assert decode_cursor(cursor, int, datetime, UUID, str) == [number, instant, message_id, text]


@pytest.mark.parametrize(
    "cursor", ["", "x", "%%%", "AAAA", encode_cursor(UUID(int=1)), encode_cursor(1, 2), "W10", "e30"]
)
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid) as refused:
        decode_cursor(cursor, int)
    assert refused.value.fields[0].field == "cursor"


@given(st.text())
def test_no_text_breaks_the_reading_of_cursors(cursor: str) -> None:
    with pytest.raises(Invalid):
        decode_cursor(cursor, int, UUID, datetime)


def test_limits_are_bounded() -> None:
    assert [bounded(limit) for limit in (-1, 0, 1, 50, 10**9)] == [1, 1, 1, 50, MAX_LIMIT]


@pytest.mark.parametrize("parts", [(1, 2), ("yesterday", "x"), (True,), (1.5,), ([],)])
def test_parts_of_another_kind_are_refused(parts: tuple[object, ...]) -> None:
    cursor = base64.urlsafe_b64encode(orjson.dumps(parts)).decode()
    for kinds in ((int,), (datetime, UUID), (datetime, str), (str,)):
        with pytest.raises(Invalid):
            decode_cursor(cursor, *kinds)


@pytest.mark.parametrize(("size", "rows", "last"), [(3, [5, 4, 3], 3), (2, [5, 4], 4), (1, [5], 5)])
def test_a_page_with_others_after_it_tells_where_they_begin(size: int, rows: list[int], last: int) -> None:
    page = page_of([5, 4, 3, 2], size, lambda row: (row,))
    assert page == Page(rows, encode_cursor(last))


@pytest.mark.parametrize("rows", [[], [5], [5, 4]])
def test_the_last_page_has_no_cursor(rows: list[int]) -> None:
    assert page_of(rows, 2, lambda row: (row,)) == Page(rows)
