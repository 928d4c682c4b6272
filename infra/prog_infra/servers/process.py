"""How a server process is started and ended: whose rights it has, and what happens when its parent dies.

A child is a session of its own, so that Ctrl-C in the terminal reaches the supervisor alone, and it asks the
kernel for a signal when its parent dies, so that a killed supervisor leaves nothing behind (Linux, prctl(2)).
"""

import ctypes
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from prog_infra.errors import OperatorError

_libc = ctypes.CDLL(None, use_errno=True)

# <linux/prctl.h>, <linux/capability.h>
_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECUREBITS = 28
_SECBIT_NO_SETUID_FIXUP = 1 << 2
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_SETPCAP = 8


@dataclass(frozen=True, slots=True)
class Identity:
    """The user that a server runs as when its parent is root and it refuses to be.

    `reaches_all` keeps the one capability that lets it walk through directories which only root may enter, such
    as `/root`; without it the server would not find its own program or its data there.
    """

    uid: int
    gid: int
    reaches_all: bool = False


@dataclass(frozen=True, slots=True)
class Launch:
    """One program to start: its arguments, environment and rights, and the signal that its parent's death sends."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    death_signal: signal.Signals = signal.SIGTERM
    identity: Identity | None = None
    working_directory: Path = field(default=Path("/"))

    def before_exec(self) -> Callable[[], None]:
        """What the child does between fork and exec; everything it needs is looked up here, in the parent."""
        parent, identity, death_signal = os.getpid(), self.identity, int(self.death_signal)

        def prepare() -> None:
            if identity is not None:
                _drop_to(identity)
            # After the change of user, which clears it.
            _libc.prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        return prepare

    def start(self, *, output: int | None = None) -> subprocess.Popen[bytes]:
        """Start it with both output streams on the descriptor `output`.

        The kernel takes the end of the calling thread for the parent's death, so call it from one that stays.
        """
        return subprocess.Popen(
            self.argv,
            env=dict(self.environment),
            cwd=self.working_directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL if output is None else output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=self.before_exec(),  # noqa: PLW1509 - the child only makes system calls
        )


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _drop_to(identity: Identity) -> None:
    if identity.reaches_all:
        # access(2), with which initdb looks for its programs, counts capabilities only under this bit.
        _libc.prctl(_PR_SET_SECUREBITS, _SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
        _libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    if identity.reaches_all:
        bit = 1 << _CAP_DAC_OVERRIDE
        sets = (_CapabilitySets * 2)(_CapabilitySets(bit, bit, bit), _CapabilitySets(0, 0, 0))
        _libc.capset(ctypes.byref(_CapabilityHeader(_CAPABILITY_VERSION_3, 0)), ctypes.byref(sets))
        _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def unprivileged_identity(*paths: Path, owned: Path) -> Identity | None:
    """Who a server that refuses root runs as: None for an ordinary user, who runs it himself.

    For root it is the owner of `owned` if that is an ordinary user already, else `nobody`. Every one of `paths`
    must be reachable for it; where only root may enter, it keeps the capability to walk through.

    Raises OperatorError where root lacks that capability itself (a hardened container).
    """
    if os.geteuid() != 0:
        return None
    owner = owned.stat()
    if owner.st_uid != 0:
        uid, gid = owner.st_uid, owner.st_gid
    else:
        nobody = pwd.getpwnam("nobody")
        uid, gid = nobody.pw_uid, nobody.pw_gid
    closed = [path for path in paths if not _reachable(path, uid, gid)]
    if closed and not _may_pass_all():
        raise OperatorError(
            f"PostgreSQL cannot run as root, and its user cannot reach {closed[0]}",
            remedy="run as an ordinary user, or move the project and --data to a directory that all users can enter",
        )
    return Identity(uid, gid, reaches_all=bool(closed))


def _reachable(path: Path, uid: int, gid: int) -> bool:
    """Whether the user can enter every directory from the root down to `path`."""
    for directory in [path, *path.parents]:
        status = directory.stat()
        shift = 6 if status.st_uid == uid else 3 if status.st_gid == gid else 0
        if not status.st_mode >> shift & 1:
            return False
    return True


def _may_pass_all() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    permitted = next(line.split()[1] for line in status.splitlines() if line.startswith("CapPrm:"))
    needed = 1 << _CAP_DAC_OVERRIDE | 1 << _CAP_SETPCAP
    return int(permitted, 16) & needed == needed


def is_server(pid: int, directory: Path, name: str) -> bool:
    """Whether the process is alive, is the program `name` and works in `directory`.

    That is how a server which lost its supervisor is known for ours: a number in a pid file may be another's by now,
    and somebody's shell may stand in the directory.
    """
    process = Path("/proc") / str(pid)
    try:
        return (process / "comm").read_text().strip() == name and (process / "cwd").samefile(directory)
    except OSError:
        return False


def servers_in(directory: Path, name: str) -> list[int]:
    """Every live process of the program `name` that works in `directory`."""
    numbers = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in numbers if is_server(pid, directory, name)]


def end_servers(directory: Path, name: str, *, first: signal.Signals, grace_seconds: float) -> None:
    """End what still works in `directory`: `first` to each, and SIGKILL to what stays after the grace period.

    A server ends its own children, so they are asked only when it is gone: PostgreSQL's checkpointer takes SIGINT for
    the order to write the last checkpoint, and the server takes one that comes early for a crash.
    """
    deadline = time.monotonic() + grace_seconds
    asked: set[int] = set()
    while left := servers_in(directory, name):
        late = time.monotonic() > deadline
        for pid in left:
            if late:
                _signal(pid, signal.SIGKILL)
            elif pid not in asked and _parent(pid) not in left:
                _signal(pid, first)
                asked.add(pid)
        time.sleep(0.02)


def _parent(pid: int) -> int | None:
    try:
        status = (Path("/proc") / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(status.rpartition(")")[2].split()[1])  # what is before the last parenthesis is the program's name


def wait_until_ready(
    is_ready: Callable[[], bool],
    server: subprocess.Popen[bytes],
    log: Path,
    within_seconds: float,
    *,
    every_seconds: float = 0.005,
) -> None:
    """Poll until ready. Raises OperatorError when the server ends or the time is over."""
    deadline = time.monotonic() + within_seconds
    while not is_ready():
        if server.poll() is not None or time.monotonic() > deadline:
            name = Path(str(server.args[0] if isinstance(server.args, tuple) else server.args)).name
            raise OperatorError(f"{name} did not start: {last_line(log)}", remedy=f"see {log}")
        time.sleep(every_seconds)


def last_line(log: Path) -> str:
    """The last line that says something, for a message of one line."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        text = ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def stop(process: subprocess.Popen[bytes], *, first: signal.Signals, grace_seconds: float) -> None:
    """End a process that this one started, and wait until it is gone."""
    if process.poll() is None:
        process.send_signal(first)
    try:
        process.wait(grace_seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
