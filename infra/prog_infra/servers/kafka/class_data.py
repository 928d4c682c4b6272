"""An archive of the classes that Kafka loads, made once for each Java: the JVM maps it in instead of parsing the jars.

It halves the start and its CPU time. The archive is what a JVM that ran a node for a moment writes when it ends
(-XX:ArchiveClassesAtExit). A Java that cannot write one, such as the wheel's, simply starts without.
"""

import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from prog_infra.servers import process
from prog_infra.servers.kafka import storage
from prog_infra.servers.kafka.distribution import Distribution, held
from prog_infra.servers.kafka.node import Node, Ports
from prog_infra.servers.kafka.ports import unused_ports

START_SECONDS = 120.0


def ensure(distribution: Distribution, settings: dict[str, str], say: Callable[[str], None]) -> None:
    """Make the archive unless there is one, or it was found that this Java makes none.

    Raises OperatorError when Kafka does not even run.
    """
    archive = distribution.class_data
    if archive.exists():
        return
    storage.ensure(distribution, settings)  # not below, where the folder is held already
    with held(distribution.folder):
        if not archive.exists():
            say("preparing Kafka for fast starts, once")
            _make(distribution, settings, archive)


def _make(distribution: Distribution, settings: dict[str, str], archive: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".training-", dir=distribution.folder) as name:
        directory = Path(name)
        broker, controller = unused_ports(2)
        written = directory / "classes.jsa"
        node = Node(
            1,
            directory / "node",
            distribution,
            {1: Ports(broker, controller)},
            settings,
            cluster_id=storage.new_id(),
        )
        node.prepare()
        storage.format_new(node, distribution, settings)
        log = directory / "node.log"
        with log.open("wb") as output:
            server = node.launch(f"-XX:ArchiveClassesAtExit={written}").start(output=output.fileno())
        try:
            process.wait_until_ready(lambda: 1 in node.knows(), server, log, START_SECONDS)
        finally:
            process.stop(server, first=signal.SIGTERM, grace_seconds=60)
        if not written.exists():
            written.touch()
        written.replace(archive)
