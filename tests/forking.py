"""Python programs for tests, begun by forking a process that has imported what they need.

Most programs that tests start are the product's or the fault rig's, and to import all that takes two seconds of
processor, more than what most of them do then. `Popen` takes what `subprocess.Popen` takes, and is one; what is to be
run as `python -m MODULE …`, `python -c CODE …` or `python FILE …` it has done by a fork of a server. That is started
with the first program, and ends with whoever started it; so do the programs.

A fork is a child of who asked for it, like any program: it is orphaned on purpose, and whoever asks takes orphans in at
that moment (prctl(2), PR_SET_CHILD_SUBREAPER). The server has one thread and has drawn no random ids, so that there is
nothing for two forks to share wrongly.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import inspect
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, AnyStr, Final, NoReturn

from setproctitle import getproctitle, setproctitle

ROOT: Final = Path(__file__).resolve().parents[1]
PRELOADED: Final = (
    "prog_contracts.scim",  # first, from a shallow stack: see prog_edge.process
    "prog_contracts.catalogue",
    "prog_broker.kafka.transport",
    "prog_broker.relay",
    "prog_broker.worker",
    "prog_infra.commands._processes",
    "prog_infra.cli",
    "prog_infra.demo.story",
    "prog_infra.doctor",
    "prog_infra.local.platform",
    "prog_infra.local.programs",
    "prog_infra.migrations",
    *(f"prog_workers.{domain}.app" for domain in ("users", "tenants", "payments", "email", "monitoring", "events")),
    "prog_workers.process",
    "prog_workers.email.mailbox",
    "prog_scheduler.process",
    "prog_edge.app",
    "prog_edge.process",
)
_NO_THREADS: Final = {"OPENBLAS_NUM_THREADS": "1"}
"""Of numpy, which starts them when it is imported."""
ANSWER_SECONDS: Final = 60.0
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_CHILD_SUBREAPER: Final = 36
_MOST_FILES: Final = 64
_OUT_OF_THE_WAY: Final = 512
_NUMBER: Final = struct.Struct("!I")
_libc = ctypes.CDLL(None, use_errno=True)
_begun_anew = subprocess.Popen  # also where a test has put ours in its place


class Popen(subprocess.Popen[AnyStr]):
    """A program; a Python one is forked.

    A fork is killed when this process ends, and has nothing of a `preexec_fn`: those of the product see to that end.
    """

    def _execute_child(self, *given: Any) -> None:
        """Where `subprocess.Popen` starts the program: its pipes are there, and `pid` is to be set."""
        start = super()._execute_child  # type: ignore[misc]
        asked = inspect.signature(start).bind(*given).arguments
        program = _python(asked["args"])
        if program is None:
            start(*given)
            return
        streams = {0: asked["p2cread"], 1: asked["c2pwrite"], 2: asked["errwrite"]}
        files = {own: own if stream == -1 else stream for own, stream in streams.items()}
        files |= {number: number for number in asked["pass_fds"]}
        request = {
            **program,
            "files": list(files),
            "environment": dict(os.environ if asked["env"] is None else asked["env"]),
            "directory": str(asked["cwd"] or Path.cwd()),
            "session": asked["start_new_session"],
            "ignores_interrupts": signal.getsignal(signal.SIGINT) is signal.SIG_IGN,
            "parent": os.getpid(),
        }
        self.pid = _begin(request, list(files.values()))
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*(asked[name] for name in pipes))  # type: ignore[attr-defined]


def run(
    argv: Sequence[str], *, timeout: float | None = None, check: bool = False, **options: Any
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run` of a program whose output is captured as text."""
    with Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as program:
        try:
            said, complained = program.communicate(timeout=timeout)
        except BaseException:
            program.kill()
            raise
    if check and program.returncode != 0:
        raise subprocess.CalledProcessError(program.returncode, argv, said, complained)
    return subprocess.CompletedProcess(argv, program.returncode, said, complained)


def _python(argv: Any) -> dict[str, Any] | None:
    """What a fork is to do in place of this program; None when only the program itself will do."""
    if isinstance(argv, (str, bytes)):
        return None
    words = [os.fsdecode(word) for word in argv]
    if words[0] != sys.executable:
        return None
    unbuffered = words[1:2] == ["-u"]
    way, *rest = words[2:] if unbuffered else words[1:]
    if way not in ("-m", "-c"):
        if way.startswith("-"):
            return None
        way, rest = "", [way, *rest]
    return {"argv": words, "way": way, "what": rest[0], "arguments": rest[1:], "unbuffered": unbuffered}


class Server:
    """The process that forks."""

    def __init__(self, socket_to_it: socket.socket) -> None:
        self._socket = socket_to_it
        self._socket.settimeout(ANSWER_SECONDS)
        self._turn = threading.Lock()

    @classmethod
    def spawned(cls, modules: Iterable[str]) -> Server:
        """One that is a program of its own, for whoever may have threads, or another use for what it has imported."""
        ours, its = socket.socketpair()
        argv = [sys.executable, "-m", "tests.forking", str(its.fileno()), *modules]
        with its:
            program = _begun_anew(argv, cwd=ROOT, pass_fds=[its.fileno()], env=os.environ | _NO_THREADS)
        atexit.register(_ended, program, ours)
        return cls(ours)

    @classmethod
    def forked(cls) -> Server:
        """One that is a fork of this process, which must have one thread and have imported what is needed."""
        ours, its = socket.socketpair()
        parent = os.getpid()
        if os.fork() == 0:
            ours.close()
            _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)
            _serve(its)
        its.close()
        return cls(ours)

    def begin(self, request: dict[str, Any], files: Sequence[int]) -> int:
        """The number of the process that does what is asked; it is a child of this one."""
        body = json.dumps(request).encode()
        with self._turn:
            _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
            try:
                socket.send_fds(self._socket, [_NUMBER.pack(len(body))], files)
                self._socket.sendall(body)
                answer = self._socket.recv(_NUMBER.size, socket.MSG_WAITALL)
            finally:
                _libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
        if len(answer) < _NUMBER.size:
            raise RuntimeError("the server that forks programs has ended")
        pid: int = _NUMBER.unpack(answer)[0]
        return pid


_server: Server | None = None


def _begin(request: dict[str, Any], files: Sequence[int]) -> int:
    global _server  # noqa: PLW0603 - one for each process
    if _server is None:
        _server = Server.spawned(PRELOADED)
    return _server.begin(request, files)


def fork_this_process(*modules: str) -> None:
    """Have `Popen` fork this process as it is now, with these modules imported, in place of a server's own."""
    global _server  # noqa: PLW0603 - one for each process
    _preload(modules)
    _server = Server.forked()


def _ended(program: subprocess.Popen[bytes], socket_to_it: socket.socket) -> None:
    socket_to_it.close()
    program.wait()


# In the server.


def _preload(modules: Iterable[str]) -> None:
    """Import them. Raises RuntimeError when one of them starts a thread: forks would lack it and wait for it."""
    gc.disable()
    try:
        for module in modules:
            import_module(module)
    finally:
        gc.freeze()
        gc.enable()
    if len(list(Path("/proc/self/task").iterdir())) != 1:
        raise RuntimeError("a process that has more than one thread cannot be forked for programs")


def _serve(requests: socket.socket) -> NoReturn:
    """Until whoever asks has ended. Its forks never return."""
    getproctitle()  # it looks for its place in memory beside the environment, which forks change
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for who asks
    with requests:
        while heard := socket.recv_fds(requests, _NUMBER.size, _MOST_FILES, socket.MSG_WAITALL)[:2]:
            length, files = heard
            if len(length) < _NUMBER.size:
                break
            request = json.loads(requests.recv(_NUMBER.unpack(length)[0], socket.MSG_WAITALL))
            between = os.fork()
            if between == 0:
                if os.fork():
                    os._exit(0)  # its child is an orphan now
                _become(request, files, requests)
            for file in files:
                os.close(file)
            os.waitpid(between, 0)
    os._exit(0)


def _become(request: dict[str, Any], files: Sequence[int], requests: socket.socket) -> NoReturn:
    """Do what is asked, as the program that was asked for would, and exit as it would."""
    code = 1
    try:
        deadline = time.monotonic() + ANSWER_SECONDS
        while os.getppid() != request["parent"]:
            if time.monotonic() > deadline:
                os._exit(1)
            time.sleep(0.0005)
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != request["parent"]:
            os._exit(1)
        if request["session"]:
            os.setsid()
        # Before anybody knows whom to send one. Who ignores them hands that on, as to a new program.
        signal.signal(signal.SIGINT, signal.SIG_IGN if request["ignores_interrupts"] else signal.default_int_handler)
        requests.sendall(_NUMBER.pack(os.getpid()))
        requests.close()
        _take_over(request, files)
        _run(request)
        code = 0
    except SystemExit as ending:
        code = _code(ending)
    except KeyboardInterrupt:
        code = -signal.SIGINT
    except BaseException:  # noqa: BLE001 - the fork must never return into the server's code
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        if code < 0:
            signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        os._exit(code)


def _take_over(request: dict[str, Any], files: Sequence[int]) -> None:
    """Files, variables and directory, as a new program has them."""
    away = [fcntl.fcntl(file, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for file in files]
    for file in files:
        os.close(file)
    for own, file in zip(request["files"], away, strict=True):
        os.dup2(file, own)
        os.close(file)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - of a descriptor
    sys.stdout.reconfigure(line_buffering=request["unbuffered"])  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["directory"])
    tempfile.tempdir = None  # the variables say where
    sys.path[0] = request["directory"]
    setproctitle(" ".join(request["argv"]))


def _run(request: dict[str, Any]) -> None:
    what = request["what"]
    sys.argv = [what, *request["arguments"]]
    if request["way"] == "-m":
        sys.modules.pop(what, None)  # a new program does not have it yet, and would be warned otherwise
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif request["way"] == "-c":
        sys.argv[0] = "-c"
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(what, run_name="__main__")


def _code(ending: SystemExit) -> int:
    """The exit code that the interpreter makes of it."""
    if ending.code is None or isinstance(ending.code, int):
        return (ending.code or 0) & 0xFF
    print(ending.code, file=sys.stderr)
    return 1


def main() -> NoReturn:
    """`python -m tests.forking DESCRIPTOR MODULE…`"""
    _preload(sys.argv[2:])
    _serve(socket.socket(fileno=int(sys.argv[1])))


if __name__ == "__main__":
    main()
