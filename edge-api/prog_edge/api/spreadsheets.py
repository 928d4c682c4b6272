"""Lists as CSV (RFC 4180), streamed. A cell that a spreadsheet would run as a formula gets an apostrophe."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from typing import Final

from starlette.responses import StreamingResponse

MEDIA_TYPE: Final = "text/csv"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class CsvResponse(StreamingResponse):
    """The lines of `pages` under a line with the names of the columns, as a file to keep."""

    def __init__(self, name: str, columns: Sequence[str], pages: AsyncIterator[Sequence[Sequence[object]]]) -> None:
        disposition = {"Content-Disposition": f'attachment; filename="{name}"'}
        super().__init__(_lines(columns, pages), media_type=f"{MEDIA_TYPE}; charset=utf-8", headers=disposition)


async def _lines(columns: Sequence[str], pages: AsyncIterator[Sequence[Sequence[object]]]) -> AsyncIterator[str]:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(columns)
    async for rows in pages:
        for row in rows:
            writer.writerow([_cell(value) for value in row])
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
