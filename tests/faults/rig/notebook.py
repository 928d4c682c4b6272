"""The sent ledger of one producer: a file of JSON lines that are on the disk before the message is sent.

A producer that was killed reads it again and goes on where it stood: what it had noted and cannot know to be accepted
it sends once more, under the same id.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson


@dataclass(slots=True)
class Note:
    """One message of a producer. `accepted` tells how it was promised: succeeded, failed, pending or dead."""

    id: str
    key: str
    sequence: int
    behaviour: str
    at: float
    accepted: str | None = None


class Notebook:
    """Appends notes durably; neighbours share one write and one fsync."""

    def __init__(self, path: Path) -> None:
        _cut_torn_line(path)
        self._file = path.open("ab")
        self._lines: list[bytes] = []
        self._lock = asyncio.Lock()

    async def note(self, **fields: Any) -> None:
        """Returns when the line is on the disk."""
        self._lines.append(orjson.dumps(fields) + b"\n")
        async with self._lock:
            lines, self._lines = self._lines, []
            if lines:
                self._file.write(b"".join(lines))
                self._file.flush()
                await asyncio.to_thread(os.fsync, self._file.fileno())

    def close(self) -> None:
        self._file.close()


def read(path: Path) -> dict[str, Note]:
    """All notes by message id, in the order in which they were first written."""
    notes: dict[str, Note] = {}
    for line in _lines(path):
        if "accepted" in line:
            notes[line["id"]].accepted = line["accepted"]
        elif line["id"] not in notes:
            notes[line["id"]] = Note(**line)
    return notes


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        whole = path.read_bytes()
        yield from map(orjson.loads, whole[: whole.rfind(b"\n") + 1].splitlines())


def _cut_torn_line(path: Path) -> None:
    """A line that a kill cut short was never acted upon."""
    if path.exists():
        whole = path.read_bytes()
        if not whole.endswith(b"\n"):
            os.truncate(path, whole.rfind(b"\n") + 1)
