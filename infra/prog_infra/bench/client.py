"""An HTTP/1.1 client that costs next to nothing: one kept-alive connection, and no parsing to speak of."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, Self
from urllib.parse import urlsplit

from prog_infra.errors import OperatorError

PATIENCE_SECONDS = 30.0


class Connection:
    """One connection to one server, for one request at a time."""

    def __init__(self, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._host = host
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, url: str) -> Self:
        """Raises OSError when nobody listens at `url`."""
        parts = urlsplit(url)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        return cls(parts.netloc, reader, writer)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    def request(
        self, path: str, body: Mapping[str, Any], token: str | None = None, tenant_id: str | None = None
    ) -> bytes:
        """The bytes of a POST with a JSON body."""
        content = json.dumps(body).encode()
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        authorization += f"Prog-Tenant: {tenant_id}\r\n" if tenant_id else ""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\n{authorization}Content-Length: {len(content)}\r\n\r\n"
        )
        return head.encode() + content

    def get(self, path: str, token: str | None = None) -> bytes:
        """The bytes of a GET."""
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        return f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: application/json\r\n{authorization}\r\n".encode()

    async def send(self, request: bytes) -> tuple[int, bytes]:
        """Sends a request and returns status and body."""
        self._writer.write(request)
        async with asyncio.timeout(PATIENCE_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = await self._reader.readexactly(length)
        return int(head[9:12]), body

    async def timed(self, request: bytes, expected: int) -> float:
        """Sends a request and returns the milliseconds to the last byte of the answer.

        Raises OperatorError when the answer has another status: what it took would be no measure of anything.
        """
        began = time.perf_counter_ns()
        status, body = await self.send(request)
        took = (time.perf_counter_ns() - began) / 1e6
        if status != expected:
            raise OperatorError(
                f"the platform answered {status} instead of {expected}: {body[:300].decode()}", remedy="see its logs"
            )
        return took
