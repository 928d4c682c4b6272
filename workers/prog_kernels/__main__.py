"""Compiles the kernels into the cache: `python -m prog_kernels`, at the lowest priority, and ends with its parent."""

import contextlib
import ctypes
import os
import signal
import sys

from prog_kernels import engine

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    os.nice(19)
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    engine.load()
