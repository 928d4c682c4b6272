"""The two ways in which the supervisor starts a child: another program, or a fork of itself.

The platform's own processes are forks. The supervisor imports what they all need once, while the servers start; a fork
then begins its work in milliseconds, at the first start and after a crash. The supervisor has one thread and never
touches a broker, a database or a random id of the platform, so that there is nothing for two forks to share wrongly.
"""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import NoReturn, Protocol

from setproctitle import getproctitle, setproctitle

from prog_infra.errors import OperatorError
from prog_infra.servers.process import Launch

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)
_HANDLED = (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)


class Child(Protocol):
    """A process that was started: in a session, and so a process group, of its own."""

    pid: int

    def poll(self) -> int | None:
        """Its exit code once it has ended; minus the signal's number if one ended it."""


class Forked:
    """A fork of the supervisor."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code


def start_program(launch: Launch, output: int) -> Child:
    """Start another program with its output on the descriptor `output`."""
    return launch.start(output=output)


def fork(
    main: Callable[[], int], *, title: str, environment: Mapping[str, str], output: int, forget: Callable[[], None]
) -> Child:
    """Run `main` in a fork with the variables of `environment` and its output on `output`.

    `forget` runs first in the fork and closes what belongs to the supervisor alone. `main` returns the exit code.
    """
    getproctitle()  # it looks for its place in memory beside the environment, which the fork is about to change
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        _become(main, parent, title, environment, output, forget)
    return Forked(pid)


def _become(
    main: Callable[[], int],
    parent: int,
    title: str,
    environment: Mapping[str, str],
    output: int,
    forget: Callable[[], None],
) -> NoReturn:
    code = 1
    try:
        os.setsid()
        # All durable state is elsewhere, so a fork without its supervisor may end at once, and leaves its port free.
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        signal.set_wakeup_fd(-1)
        for number in _HANDLED:
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        forget()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        os.environ.clear()
        os.environ.update(environment)
        setproctitle(title)
        code = main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except OperatorError as error:
        print(f"prog: {error}", file=sys.stderr)  # noqa: T201 - the last line of its log, which the supervisor reads
    except BaseException:  # noqa: BLE001 - the fork must never return into the supervisor's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
