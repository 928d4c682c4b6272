"""What is on the disk before anything says that it is there."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's names, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
