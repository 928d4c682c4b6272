"""The supervisor of `prog up`: starts processes, restarts those that die, and leaves none behind.

One thread and one loop, so that it may fork (see `children`). What happens comes in through descriptors: a signal wakes
it, a child's output is copied into its log, and between events it looks at what is due: restarts, probes, deadlines.

A process that dies is started again at once; one that keeps dying waits longer each time. A signal to stop ends the
processes stage by stage - first who takes requests, then who works, then the servers - and a second one at once.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from prog_infra.errors import OperatorError
from prog_infra.local.children import Child
from prog_infra.local.logs import BoundedLog

TICK_SECONDS = 0.02
BACKOFF_SECONDS = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
STEADY_SECONDS = 20.0
SETTLED_SECONDS = 0.5
QUIET_SECONDS = 60.0
START_ATTEMPTS = 3


@dataclass(slots=True)
class Program:
    """What the supervisor runs under `name`.

    `start` takes the descriptor for the output and starts a child. `prepare` runs before each start. It is ready once
    its output has said `says_when_ready` and `is_ready` answers yes, as far as it has these; one that has neither is
    ready when it has lived for a moment. Stages stop in ascending order; `grace_seconds` is what a stage's program has
    from `stop_signal` until it is killed.
    """

    name: str
    start: Callable[[int], Child]
    prepare: Callable[[], None] | None = None
    is_ready: Callable[[], bool] | None = None
    says_when_ready: bytes | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stage: int = 1
    grace_seconds: float = 25.0
    once: bool = False


@dataclass(slots=True)
class Running:
    """One program's present life."""

    program: Program
    log: BoundedLog
    child: Child | None = None
    output: int = -1
    started_at: float = 0.0
    restart_at: float | None = None
    deaths: int = 0
    ready: bool = False
    ever_ready: bool = False
    ended_with: int | None = None
    seconds_to_ready: float = field(default=0.0)

    @property
    def alive(self) -> bool:
        return self.child is not None


class StopRequested(Exception):
    """SIGINT or SIGTERM came while the supervisor was starting up."""


class Supervisor:
    """Runs programs. `say` is told in one line what a person at the terminal should know.

    With `with_parent` the end of the process that started this one counts as a request to stop.
    """

    def __init__(self, logs: Path, say: Callable[[str], None], *, with_parent: bool = False) -> None:
        self._logs = logs
        self._say = say
        self._parent = os.getppid() if with_parent else None
        self._running: dict[str, Running] = {}
        self._selector = selectors.DefaultSelector()
        self._stops = 0
        self._quiet_until = 0.0
        self._stopping = False
        self._wake_in, self._wake_out = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)

    def watch_signals(self) -> None:
        """From now on SIGINT and SIGTERM ask this supervisor to stop."""
        signal.set_wakeup_fd(self._wake_out, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._request_stop)

    def start(self, program: Program) -> Running:
        """Start a program and supervise it from now on."""
        running = Running(program, BoundedLog(self._logs / f"{program.name}.log"))
        self._running[program.name] = running
        self._start(running)
        return running

    def wait_ready(self, names: Iterable[str], *, within_seconds: float) -> None:
        """Go on until all of them are ready, or have ended well if they run once.

        Raises OperatorError when one keeps dying or the time is over, and StopRequested on a signal.
        """
        waiting = [self._running[name] for name in names]
        deadline = time.monotonic() + within_seconds
        while left := [running for running in waiting if not self._settled(running)]:
            if time.monotonic() > deadline:
                slow = left[0]
                raise OperatorError(
                    f"{slow.program.name} was not ready after {within_seconds:.0f} s: {slow.log.last_line()}",
                    remedy=f"see {slow.log.path}",
                )
            self._turn()
            if self._stops:
                raise StopRequested

    def run(self) -> None:
        """Supervise until a signal asks to stop."""
        while not self._stops:
            self._turn()

    def stop(self) -> None:
        """End all programs, stage by stage, and what they may have started themselves."""
        self._stopping = True
        for stage in sorted({running.program.stage for running in self._running.values()}):
            members = [running for running in self._running.values() if running.program.stage == stage]
            for running in members:
                self._signal(running, running.program.stop_signal)
            self._await_end(members)
        for running in self._running.values():
            running.log.close()

    def forget(self) -> None:
        """In a fork: close what belongs to the supervisor alone."""
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)
        for running in self._running.values():
            running.log.close()
            if running.output >= 0:
                os.close(running.output)

    def status(self) -> dict[str, Running]:
        return dict(self._running)

    # One turn of the loop.

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._pause_seconds()):
            if key.data is None:
                os.read(self._wake_in, 4096)
            else:
                self._copy_output(key.data)
        for running in list(self._running.values()):
            self._look_after(running)
        if self._parent is not None and os.getppid() != self._parent:
            self._parent = None
            self._stops += 1

    def _pause_seconds(self) -> float:
        restless = any(
            running.restart_at is not None or (running.alive and not running.ready)
            for running in self._running.values()
        )
        return TICK_SECONDS if restless or self._stopping else 1.0

    def _look_after(self, running: Running) -> None:
        if running.child is not None:
            code = running.child.poll()
            if code is not None:
                self._ended(running, code)
            elif not running.ready and _is_ready(running):
                running.ready = running.ever_ready = True
                running.seconds_to_ready = time.monotonic() - running.started_at
        elif running.restart_at is not None and time.monotonic() >= running.restart_at and not self._stopping:
            self._start_again(running)

    def _start_again(self, running: Running) -> None:
        """What has run before is tried for ever: a full disk or a lost mount may come right."""
        try:
            self._start(running)
        except OperatorError as error:
            if not running.ever_ready:
                raise
            self._say(str(error))
            self._put_off(running)

    def _start(self, running: Running) -> None:
        running.restart_at = None
        try:
            if running.program.prepare is not None:
                running.program.prepare()
            read_end, write_end = os.pipe2(os.O_CLOEXEC)
            running.output = read_end
            running.log.begin_life(running.program.says_when_ready)
            running.started_at = time.monotonic()
            running.child = running.program.start(write_end)
        except OSError as error:
            raise OperatorError(
                f"{running.program.name} cannot be started: {error}", remedy=f"see {running.log.path}"
            ) from error
        os.close(write_end)
        os.set_blocking(read_end, False)
        self._selector.register(read_end, selectors.EVENT_READ, running)
        running.ready = False

    def _copy_output(self, running: Running) -> None:
        try:
            text = os.read(running.output, 65536)
        except BlockingIOError:
            return
        if text:
            self._keep(running.log, text)
        else:
            self._close_output(running)

    def _keep(self, log: BoundedLog, text: bytes) -> None:
        log.write(text)
        if log.trouble and time.monotonic() > self._quiet_until:
            self._quiet_until = time.monotonic() + QUIET_SECONDS
            self._say(f"the logs in {self._logs} cannot be written: {log.trouble} - free some space there")

    def _close_output(self, running: Running) -> None:
        if running.output >= 0:
            self._selector.unregister(running.output)
            os.close(running.output)
            running.output = -1

    def _ended(self, running: Running, code: int) -> None:
        while running.output >= 0 and self._has_more(running):
            self._copy_output(running)
        self._close_output(running)
        self._end_group(running)
        running.child = None
        running.ready = False
        running.ended_with = code
        if running.program.once or self._stopping:
            return
        lived = time.monotonic() - running.started_at
        if lived > STEADY_SECONDS:
            running.deaths = 0
        pause = self._put_off(running)
        again = "again" if pause == 0 else f"again in {pause:g} s"
        self._say(f"{running.program.name} {_manner(code)}; starting it {again} (log: {running.log.path})")

    def _put_off(self, running: Running) -> float:
        """Decide when it starts again; how many seconds from now."""
        running.deaths += 1
        pause = BACKOFF_SECONDS[min(running.deaths, len(BACKOFF_SECONDS)) - 1]
        running.restart_at = time.monotonic() + pause
        return pause

    def _has_more(self, running: Running) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(running.output, selectors.EVENT_READ)
            return bool(selector.select(0))

    def _settled(self, running: Running) -> bool:
        if running.program.once:
            if running.ended_with not in (None, 0):
                raise OperatorError.from_line(running.log.last_line(), remedy=f"see {running.log.path}")
            return running.ended_with == 0
        if running.deaths >= START_ATTEMPTS and not running.ever_ready:
            raise OperatorError(
                f"{running.program.name} keeps dying: {running.log.last_line().removeprefix('prog: ')}",
                remedy=f"see {running.log.path}",
            )
        return running.ready

    # The end.

    def _request_stop(self, *_: object) -> None:
        self._stops += 1

    def _await_end(self, members: list[Running]) -> None:
        began = time.monotonic()
        asked = self._stops
        while living := [running for running in members if running.alive]:
            for running in living:
                late = time.monotonic() - began > running.program.grace_seconds
                if late or (self._stops > asked and running.program.stage < SERVERS):
                    self._signal(running, signal.SIGKILL)
            self._turn()

    def _signal(self, running: Running, number: signal.Signals) -> None:
        if running.child is not None and running.child.poll() is None:
            os.kill(running.child.pid, number)

    def _end_group(self, running: Running) -> None:
        # A child is the leader of its own group; whoever is still in it was started by it and lost its parent.
        if running.child is not None:
            try:
                os.killpg(running.child.pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                return


SERVERS = 9
"""The stage of the servers: last to stop, and never killed for impatience alone."""


def _is_ready(running: Running) -> bool:
    program = running.program
    if program.is_ready is None and program.says_when_ready is None:
        return program.once or time.monotonic() - running.started_at > SETTLED_SECONDS
    return running.log.has_said_awaited() and (program.is_ready is None or program.is_ready())


def _manner(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
