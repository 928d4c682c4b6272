"""The provider outside: does what it is asked, once for an idempotency key, and writes down what it did.

    python -m tests.faults.rig.provider PORT LEDGER

As real ones do, it sometimes refuses for the moment, and sometimes does it and loses the answer.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock
from typing import ClassVar
from zlib import crc32


class Charges:
    """What was done, by idempotency key; on the disk before the answer goes out."""

    def __init__(self, path: Path) -> None:
        self.lock = Lock()
        self.done: dict[str, dict[str, object]] = {}
        if path.exists():
            whole = path.read_bytes()
            whole = whole[: whole.rfind(b"\n") + 1]
            path.write_bytes(whole)
            self.done = {entry["id"]: entry for entry in map(json.loads, whole.splitlines())}
        self._file = path.open("ab")

    def do(self, key: str, body: dict[str, object]) -> None:
        with self.lock:
            if key in self.done:
                return
            entry = {"id": key, **body}
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self.done[key] = entry


class Handler(BaseHTTPRequestHandler):
    """`POST /charges/{idempotency key}` does it, `GET` tells whether it was done."""

    charges: ClassVar[Charges]
    moods: ClassVar[set[str]] = set()

    def do_GET(self) -> None:
        self._answer(200 if self._key() in self.charges.done else 404)

    def do_POST(self) -> None:
        key = self._key()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mood = crc32(key.encode()) % 20 if key not in self.moods else None
        self.moods.add(key)
        if mood == 0:
            self._answer(503)
            return
        self.charges.do(key, body)
        if mood == 1:
            self.close_connection = True  # done, and the answer is lost
            return
        self._answer(200)

    def _key(self) -> str:
        return self.path.rpartition("/")[2]

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that the base class gives it
        return


def main() -> None:
    Handler.charges = Charges(Path(sys.argv[2]))
    ThreadingHTTPServer.allow_reuse_address = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()


if __name__ == "__main__":
    main()
