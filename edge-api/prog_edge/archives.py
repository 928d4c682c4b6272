"""Zip files that are made while they are sent, so that neither memory nor any disk has to hold one."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import orjson
from starlette.responses import StreamingResponse

MEDIA_TYPE: Final = "application/zip"

Content = Callable[[], AsyncIterator[bytes]]
"""What is in a file of an archive, as it comes; asked for when the files before it are done."""


class ArchiveResponse(StreamingResponse):
    """An archive to be kept by whoever asked, and by nothing on its way."""

    def __init__(self, filename: str, files: AsyncIterator[tuple[str, Content]]) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{filename}"', "Cache-Control": "no-store"}
        super().__init__(zipped(files), media_type=MEDIA_TYPE, headers=headers)


async def zipped(files: AsyncIterator[tuple[str, Content]]) -> AsyncIterator[bytes]:
    """The bytes of a zip with these files, by name, as they come. Compressing is done beside the event loop."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        async for name, content in files:
            with archive.open(name, "w", force_zip64=True) as member:
                async for chunk in content():
                    await asyncio.to_thread(member.write, chunk)
                    yield sink.take()
    yield sink.take()


def once(content: bytes | str) -> Content:
    """A file that is there as a whole."""

    async def chunks() -> AsyncIterator[bytes]:
        yield content.encode() if isinstance(content, str) else content

    return chunks


def line_of(row: Any, default: Callable[[object], object] | None = None) -> bytes:
    """A line of JSON."""
    return orjson.dumps(row, default=default, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z)


class _Sink:
    """What a zip is written to: it grows until it is taken."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """There is nothing to close."""

    def take(self) -> bytes:
        taken, self._chunks = b"".join(self._chunks), []
        return taken
