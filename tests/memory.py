"""Where tests put their files: in memory, where the machine has room for it.

A test's database is a copy of some 700 files, and a platform of its own makes thousands. On a disk that takes longer
than most tests; no test pulls the plug of the machine, so none needs the disk. TMPDIR says otherwise.
"""

import os
import shutil
import tempfile
from pathlib import Path

import psutil

MEMORY = Path("/dev/shm")  # where Linux has a file system in memory
ROOM_BYTES = 2 * 1024**3


def put_files_into_memory() -> None:
    """For this process and those that it starts. A folder that runs no programs, or a small one, as that of a
    container, does not do."""
    if "TMPDIR" in os.environ or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    if os.statvfs(MEMORY).f_flag & os.ST_NOEXEC or shutil.disk_usage(MEMORY).free < ROOM_BYTES:
        return
    if psutil.virtual_memory().available < 2 * ROOM_BYTES:
        return
    os.environ["TMPDIR"] = str(MEMORY)
    tempfile.tempdir = None  # it is asked again
