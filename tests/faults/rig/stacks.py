"""What a process that does not end is waiting for: on SIGUSR1 it writes the stack of every task to standard error."""

from __future__ import annotations

import asyncio
import signal
import sys


def on_request() -> None:
    """Call it in the running loop."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, _write)


def _write() -> None:
    for task in asyncio.all_tasks():
        print(f"--- {task.get_name()}", file=sys.stderr)
        frames: list[str] = []
        waits: object = task.get_coro()
        while waits is not None:
            frame = (
                getattr(waits, "cr_frame", None) or getattr(waits, "gi_frame", None) or getattr(waits, "ag_frame", None)
            )
            frames.append(
                f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}" if frame else repr(waits)
            )
            waits = getattr(waits, "cr_await", None) or getattr(waits, "gi_yieldfrom", None)
        print("\n".join(frames), file=sys.stderr, flush=True)
