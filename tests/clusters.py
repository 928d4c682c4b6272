"""A cluster of PostgreSQL with the product's schema in it: made once for all processes of a run of tests, and copied.

To make one takes 1.2 seconds of processor, and to copy one less than 0.1.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from prog_infra import migrations
from prog_infra.local.directory import DataDirectory
from prog_infra.local.platform import DATABASE
from prog_infra.servers import Postgres
from tests.depth import by_depth
from tests.running import run

FAST = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "io_method": "sync",
}
"""Settings for a server whose data nobody misses when the machine stops."""


class Clusters:
    """Copies of one cluster, which is kept in `folder` under what its schema is; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        known = "".join(migration.checksum for migration in migrations.known())
        self._folder = folder / hashlib.sha256(known.encode()).hexdigest()[:12]

    def spare_the_first_start(self, data: Path) -> None:
        """In the usual depth have `prog up` find the cluster and its schema in a data directory that is not there yet.

        Raises FileExistsError where there is one.
        """
        if by_depth(usual=True, thorough=False):
            self.copy_to(DataDirectory(data).postgres)

    def copy_to(self, directory: Path) -> None:
        """A cluster with DATABASE and the product's roles and schema in it, and no data.

        Raises FileExistsError where `directory` is there already.
        """
        if directory.exists():
            raise FileExistsError(directory)
        part = directory.with_name(f"{directory.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        directory.parent.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", self._original(), part], check=True)  # the owner stays, who may be another
        part.rename(directory)

    def _original(self) -> Path:
        self._folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        done = self._folder / "done"
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(self._folder / DATABASE, ignore_errors=True)  # its maker may have been killed
                run(self._make())
                done.touch()
        return self._folder / DATABASE

    async def _make(self) -> None:
        server = Postgres(self._folder / DATABASE, settings=FAST)
        with server.running(self._folder / "log"):
            url = server.url(DATABASE)
            await migrations.create_database(url)
            await migrations.migrate(url)
