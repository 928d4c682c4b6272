"""One process of Kafka, broker and controller in one (KRaft), in a directory of its own.

    server.properties   written anew before each start
    log4j2.properties   warnings and worse, on standard output
    data/               the messages and the metadata, formatted once: see `storage`
    tmp/                where native libraries are unpacked; emptied before each start

The process works in that directory and is given relative names alone, so that any path will do.
"""

import os
import shutil
import signal
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from prog_infra.errors import OperatorError
from prog_infra.servers import process
from prog_infra.servers.kafka.distribution import Distribution
from prog_infra.servers.process import Launch
from prog_infra.servers.valkey import HOST, is_free, write_private

_LOGGING = """\
status=error
appender.stdout.type=Console
appender.stdout.name=stdout
appender.stdout.layout.type=PatternLayout
appender.stdout.layout.pattern=%d{yyyy-MM-dd HH:mm:ss.SSS} %-5p %c{1} %m %throwable{short}%n
# Says for each client that asks too early that somebody else has made the groups' topic already.
logger.creation.name=kafka.server.DefaultAutoTopicCreationManager
logger.creation.level=error
rootLogger.level=warn
rootLogger.appenderRef.stdout.ref=stdout
"""
_JAVA_OPTIONS = (
    "-Xms64m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",  # the quick compiler alone: a third less work until it is up
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",  # a file in /tmp for each process
    "-Xlog:cds=off",  # an archive that does not fit is passed over in silence
    "-Xlog:cds+dynamic=off",
    "-Djava.io.tmpdir=tmp",
    "-Djava.awt.headless=true",
    "-Dlog4j2.configurationFile=log4j2.properties",
    "-Dlog4j2.disable.jmx=true",
)
_METADATA = struct.pack(">hhihi?", 3, 4, 1, -1, 0, False)
"""A metadata request of version 4 that asks for no topic (https://kafka.apache.org/protocol#The_Messages_Metadata)."""
_COORDINATOR = struct.pack(">hhihh5sb", 10, 1, 1, -1, 5, b"ready", 0)
"""A request of version 1 for the coordinator of a group (https://kafka.apache.org/protocol#The_Messages_FindCoordinator)."""


@dataclass(frozen=True, slots=True)
class Ports:
    """Where clients and where other controllers reach one node."""

    broker: int
    controller: int


class Node:
    """Node `number` in `directory`. `prepare` and then `launch` again after every end, clean or not."""

    def __init__(
        self,
        number: int,
        directory: Path,
        distribution: Distribution,
        ports: Mapping[int, Ports],
        settings: Mapping[str, str],
        *,
        cluster_id: str,
    ) -> None:
        self.number = number
        self.directory = directory
        self._distribution = distribution
        self._ports = ports
        self._settings = settings
        self.cluster_id = cluster_id
        # A node among others cannot end cleanly when all of them are told to at once: it waits for a controller.
        self.death_signal = signal.SIGTERM if len(ports) == 1 else signal.SIGKILL

    @property
    def port(self) -> int:
        return self._ports[self.number].broker

    @property
    def data(self) -> Path:
        """Its storage."""
        return self.directory / "data"

    def prepare(self) -> None:
        """End what an earlier life left behind and write the configuration. Raises OperatorError for a taken port."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        process.end_servers(self.directory, "java", first=self.death_signal, grace_seconds=10)
        mine = self._ports[self.number]
        for port in (mine.broker, mine.controller):
            if not is_free(port):
                raise OperatorError(f"Kafka's port {port} is taken", remedy="stop the program that listens there")
        shutil.rmtree(self.directory / "tmp", ignore_errors=True)
        (self.directory / "tmp").mkdir(mode=0o700)
        lines = "".join(f"{name}={value}\n" for name, value in self._properties().items())
        write_private(self.directory / "server.properties", lines)
        write_private(self.directory / "log4j2.properties", _LOGGING)

    def launch(self, *java_options: str) -> Launch:
        """How to start the server, once it is formatted; `prepare` comes first."""
        return self._launch(*java_options, "kafka.Kafka", "server.properties")

    def launch_tool(self, *arguments: str) -> Launch:
        """How to start Kafka's own tool for the storage of a node; `prepare` comes first."""
        return self._launch("kafka.tools.StorageTool", *arguments)

    def knows(self) -> set[int]:
        """The numbers of the live nodes by this one's own word; empty while it does not answer."""
        try:
            return _broker_numbers(self._ask(_METADATA))
        except (OSError, struct.error):
            return set()

    def coordinates_groups(self) -> bool:
        """Whether consumer groups have a coordinator; the first to ask has the cluster make their topic."""
        try:
            error: int = struct.unpack_from(">iih", self._ask(_COORDINATOR))[2]
        except (OSError, struct.error):
            return False
        return error == 0

    def _ask(self, request: bytes) -> bytes:
        with socket.create_connection((HOST, self.port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as answer:
                return answer.read(struct.unpack(">i", answer.read(4))[0])

    def _launch(self, *arguments: str) -> Launch:
        options = [*_JAVA_OPTIONS]
        if self._distribution.has_class_data:
            options.append(f"-XX:SharedArchiveFile={self._distribution.class_data}")
        environment = {
            "PATH": os.defpath,
            "LC_ALL": "C.UTF-8",  # Java takes file names for what the locale says
            "TZ": "UTC",
            "CLASSPATH": self._distribution.classpath,
        }
        argv = (str(self._distribution.java.program), *options, *arguments)
        return Launch(argv, environment, death_signal=self.death_signal, working_directory=self.directory)

    def _properties(self) -> dict[str, str]:
        mine = self._ports[self.number]
        voters = ",".join(f"{number}@{HOST}:{ports.controller}" for number, ports in self._ports.items())
        return {
            **self._settings,
            "process.roles": "broker,controller",
            "node.id": str(self.number),
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "listeners": f"PLAINTEXT://{HOST}:{mine.broker},CONTROLLER://{HOST}:{mine.controller}",
            "advertised.listeners": f"PLAINTEXT://{HOST}:{mine.broker}",
            "log.dirs": "data",
        }


def reason(log: Path) -> str:
    """The last line of a Java program's output that is not a step of a stack trace."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    lines = [line.strip() for line in text.splitlines()]
    return next((line for line in reversed(lines) if line and not line.startswith(("at ", "..."))), "it said nothing")


def _broker_numbers(answer: bytes) -> set[int]:
    """The node ids in a metadata response of version 4: correlation id, throttle time, brokers, …"""
    _, _, count = struct.unpack_from(">iii", answer)
    numbers, place = set(), 12
    for _ in range(count):
        number, length = struct.unpack_from(">ih", answer, place)
        place += 6 + length + 4  # id, length of the host, host, port
        rack = struct.unpack_from(">h", answer, place)[0]
        place += 2 + max(rack, 0)
        numbers.add(number)
    return numbers
