"""The data directory of `prog up`: what is in it, who may use it, and whether it can be used at all.

    postgres/ valkey/    the servers' data
    kafka/               the same, where the broker is or was Kafka
    logs/                one file a process, bounded
    secrets.json         PROG_SECRET_KEYS, made once
    administrator.json   the first administrator's sign-in
    broker.json          what carries the messages, for the next start
    platform.json        the settings of the platform that runs here, for the other commands
    lock                 held by the `prog up` that is alive, with its number inside

All files are readable by their owner alone.
"""

import errno
import fcntl
import json
import os
import secrets
import shutil
import time
from pathlib import Path
from typing import IO, Any

from prog_infra.errors import OperatorError
from prog_infra.servers.valkey import write_private

DEFAULT_DIRECTORY = Path(".prog")
NEEDED_BYTES = 256 * 1024 * 1024
ENDING_SECONDS = 10.0
"""What the forks of a `prog up` that was killed have to end: they are killed with it, and hold the lock till then."""
_LOOK_AGAIN_SECONDS = 0.02
ADMINISTRATOR_EMAIL = "admin@prognetwork.example"


class DataDirectory:
    """One data directory. `open` takes it for this process; reading needs no lock."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._lock: IO[str] | None = None

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    @property
    def valkey(self) -> Path:
        return self.path / "valkey"

    @property
    def kafka(self) -> Path:
        return self.path / "kafka"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    def open(self, *, fresh: bool = False) -> None:
        """Make the directory and hold it until this process and its forks end; `fresh` forgets all that it holds.

        Raises OperatorError when it cannot be written, the disk is full, or another `prog up` uses it.
        """
        try:
            # Root's servers run as another user, who has to pass; what is private in here says so itself.
            self.path.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
            self._lock = (self.path / "lock").open("a+", encoding="ascii")
            self._take_lock(self._lock)
            if fresh:
                self._forget()
            self._try_to_write()
        except OSError as error:
            self.close()
            raise self._unusable(error) from None
        except OperatorError:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the directory, as far as this process holds it; a fork holds it until it ends."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def secret_keys(self) -> str:
        """PROG_SECRET_KEYS: made once, kept for ever."""
        file = self.path / "secrets.json"
        if not file.exists():
            _write_json(file, {"PROG_SECRET_KEYS": secrets.token_hex(32)})
        return str(_read_json(file)["PROG_SECRET_KEYS"])

    @property
    def administrator_file(self) -> Path:
        return self.path / "administrator.json"

    def administrator(self) -> dict[str, str]:
        """The first administrator's sign-in: `email`, `password`; made once, before the account is."""
        if not self.administrator_file.exists():
            self._write_administrator({"email": ADMINISTRATOR_EMAIL, "password": secrets.token_urlsafe(15)}, "no")
        kept = _read_json(self.administrator_file)
        return {"email": str(kept["email"]), "password": str(kept["password"])}

    def has_administrator(self) -> bool:
        """Whether the platform has confirmed the account."""
        return self.administrator_file.exists() and _read_json(self.administrator_file).get("confirmed") == "yes"

    def confirm_administrator(self) -> None:
        """The platform has the account: it need not be asked for again."""
        self._write_administrator(self.administrator(), "yes")

    def _write_administrator(self, sign_in: dict[str, str], confirmed: str) -> None:
        _write_json(self.administrator_file, sign_in | {"confirmed": confirmed})

    def broker(self) -> str | None:
        """What carried the messages the last time: `redis` or `kafka`; None when nothing has run here yet."""
        try:
            return str(_read_json(self.path / "broker.json")["broker"])
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None

    def remember_broker(self, broker: str) -> None:
        """The next start takes this broker unless it is told otherwise."""
        _write_json(self.path / "broker.json", {"broker": broker})

    def remember_platform(self, variables: dict[str, str]) -> None:
        """Write down the settings of the platform that runs here."""
        _write_json(self.path / "platform.json", variables)

    def platform(self) -> dict[str, str]:
        """The settings of the platform that runs, or last ran, here; empty when there is none that we may read."""
        try:
            return {str(name): str(value) for name, value in _read_json(self.path / "platform.json").items()}
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return {}

    def is_stopped(self) -> bool:
        """Whether a platform has run here and does so no more."""
        if not self.platform():
            return False
        try:
            with (self.path / "lock").open(encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:  # held by the `prog up` that is alive, or not ours to see
            return False
        return True

    def _take_lock(self, lock: IO[str]) -> None:
        deadline = time.monotonic() + ENDING_SECONDS
        while not _is_locked_now(lock):
            holder = _holder(lock)
            if holder is None or _lives(holder):
                raise OperatorError(
                    f"the data in {self.path} is in use by another `prog up` (process {holder or 'unknown'})",
                    remedy="stop that one, or use another --data and --port",
                )
            if time.monotonic() > deadline:
                raise OperatorError(
                    f"the data in {self.path} is still in use by what is left of a killed `prog up` (process {holder})",
                    remedy=f"end that (`fuser -v {self.path / 'lock'}` tells what), or use another --data and --port",
                )
            time.sleep(_LOOK_AGAIN_SECONDS)
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()

    def _forget(self) -> None:
        for folder in (self.postgres, self.valkey, self.kafka, self.logs):
            if folder.exists():
                shutil.rmtree(folder)
        for name in ("secrets.json", "administrator.json", "broker.json", "platform.json"):
            (self.path / name).unlink(missing_ok=True)

    def _try_to_write(self) -> None:
        free = shutil.disk_usage(self.path).free
        if free < NEEDED_BYTES:
            raise OSError(errno.ENOSPC, f"only {free // 1_000_000} MB are left")
        self.logs.mkdir(mode=0o700, exist_ok=True)
        probe = self.path / ".probe"
        probe.write_bytes(bytes(4096))
        probe.unlink()

    def _unusable(self, error: OSError) -> OperatorError:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            detail = "" if error.filename else f": {error.strerror}"
            return OperatorError(
                f"the disk of {self.path} is full{detail}",
                remedy=f"free {NEEDED_BYTES // 2**20} MB, or use --data on another disk",
            )
        return OperatorError(
            f"{self.path} cannot be used for data: {(error.strerror or str(error)).lower()}",
            remedy="use --data with a directory that you may write",
        )


def _is_locked_now(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(lock: IO[str]) -> int | None:
    """The process that wrote its number into the lock; None while it has not done so."""
    lock.seek(0)
    text = lock.read().strip()
    return int(text) if text.isdecimal() and 0 < int(text) < 2**31 else None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _write_json(path: Path, values: dict[str, str]) -> None:
    write_private(path, json.dumps(values, indent=2) + "\n")


def _read_json(path: Path) -> dict[str, Any]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise OperatorError(f"{path} is damaged", remedy="restore it from a backup, or start afresh with --fresh")
    return values
