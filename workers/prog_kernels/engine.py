"""Gets the compiled kernels ready.

Importing Numba takes half a second and compiling some more; neither may delay a process's first messages. `warm()` does
both aside: a child process of the lowest priority compiles into a cold cache, then a thread of this process loads it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Final

from prog_kernels import selection

_COMPILE_SECONDS: Final = 300.0

_lock = threading.Lock()
_thread: threading.Thread | None = None


def warm(after_seconds: float = 0.0) -> threading.Thread:
    """Gets the compiled kernels ready in the background, once a process; the thread ends when they are.

    `after_seconds` lets a process start its real work first. When Numba cannot be used NumPy stays: the results are the
    same.
    """
    global _thread  # noqa: PLW0603 - one a process
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_prepare, args=(after_seconds,), name="kernels", daemon=True)
            _thread.start()
        return _thread


def load() -> ModuleType:
    """Compiles, or loads from the cache, in the calling thread.

    Raises ImportError when Numba cannot be used.
    """
    directory = cache_directory()
    numba = import_module("numba")
    numba.config.CACHE_DIR = str(directory)
    compiled = import_module("prog_kernels.compiled")
    selection.use(compiled)
    with contextlib.suppress(OSError):
        _stamp(directory).touch()
    return compiled


def cache_directory() -> Path:
    """Where compiled code is kept: NUMBA_CACHE_DIR, else the user's cache, else a fresh temporary directory.

    Code is loaded from there, so a directory that others may write, or that belongs to somebody else, is not used.
    """
    if given := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    with contextlib.suppress(OSError, RuntimeError):
        directory = Path(base).expanduser() / "prognetwork" / "numba"
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.stat()
        if status.st_uid == os.geteuid() and not status.st_mode & 0o022 and os.access(directory, os.W_OK | os.X_OK):
            return directory
    return Path(tempfile.mkdtemp(prefix="prognetwork-numba-"))


def _prepare(after_seconds: float) -> None:
    time.sleep(after_seconds)
    directory = cache_directory()
    os.environ.setdefault("NUMBA_CACHE_DIR", str(directory))
    if not _stamp(directory).exists():
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [sys.executable, "-m", "prog_kernels"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_COMPILE_SECONDS,
                check=False,
            )
    with contextlib.suppress(ImportError):
        load()


def _stamp(directory: Path) -> Path:
    """A file whose presence says that the cache holds this very code for this very machine."""
    sources = [Path(__file__).with_name(name) for name in ("compiled.py", "layout.py")]
    parts = [platform.python_version(), platform.machine(), platform.node(), metadata.version("numba")]
    parts += [f"{source} {source.stat().st_mtime_ns}" for source in sources if source.exists()]
    return directory / f"ready-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:16]}"
