"""Kafka as the platform and the tests have it: one node or several on this machine, started and ended together."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prog_infra.errors import OperatorError
from prog_infra.servers import process
from prog_infra.servers.kafka import class_data, distribution, storage
from prog_infra.servers.kafka.node import Node, Ports, reason
from prog_infra.servers.kafka.ports import unused_ports
from prog_infra.servers.process import Launch
from prog_infra.servers.valkey import HOST, is_free, write_private

START_SECONDS = 120.0
STOP_SECONDS = 30.0
PROBE_SECONDS = 0.05  # each question interrupts who is just starting

_SETTINGS = {
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "4",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.index.size.max.bytes": "2097152",
    "broker.heartbeat.interval.ms": "500",
    "metadata.max.idle.interval.ms": "5000",  # it writes a record that often when nothing happens: else twice a second
}


class Kafka:
    """`nodes` brokers with their controllers in `directory`; data and ports stay from one life to the next.

    With three nodes or more each topic has three replicas, and a write with acks=all is on two of them before it is
    acknowledged, so one node may be lost. `settings` are server properties that go before the defaults here.
    Nodes are numbered from 1.
    """

    death_signal = signal.SIGTERM  # of a node alone: it closes its files and exits

    def __init__(self, directory: Path, *, nodes: int = 1, settings: dict[str, str] | None = None) -> None:
        self.directory = directory.absolute()
        self._count = nodes
        self._distribution: distribution.Distribution | None = None
        self._settings = _SETTINGS | _of_size(nodes) | (settings or {})
        self._nodes: dict[int, Node] = {}
        self._servers: dict[int, subprocess.Popen[bytes]] = {}
        self._log = Path()

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes, as Kafka's clients take them."""
        return ",".join(f"{HOST}:{node.port}" for node in self._nodes.values())

    def url(self) -> str:
        """The address that PROG_BROKER_URL takes."""
        return f"kafka://{self.bootstrap}"

    def fetch(self, say: Callable[[str], None] | None = None) -> distribution.Distribution:
        """Have all on this machine that the start needs; the first time that takes a minute or two, and `say` is told.

        Raises OperatorError: no Java, no Maven, no network.
        """
        if self._distribution is None:
            say = say or _say_on_standard_error
            fetched = distribution.resolve(say)
            class_data.ensure(fetched, _SETTINGS | _of_size(1), say)
            self._distribution = fetched
        return self._distribution

    def prepare(self) -> None:
        """End what an earlier life left behind, choose the ports, write the configuration, format what is new.

        Raises OperatorError.
        """
        fetched = self.fetch()
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in self.directory.glob("node-*"):
            process.end_servers(folder, "java", first=signal.SIGTERM, grace_seconds=STOP_SECONDS)
        cluster_id, ports = self._identity()
        self._nodes = {
            number: Node(
                number,
                self.directory / f"node-{number}",
                fetched,
                ports,
                self._settings,
                cluster_id=cluster_id,
            )
            for number in ports
        }
        for node in self._nodes.values():
            node.prepare()
            storage.format_new(node, fetched, _SETTINGS | _of_size(1))

    def launch(self) -> Launch:
        """How to start the server where there is one node; `prepare` comes first."""
        if self._count != 1:
            raise ValueError("several nodes are started by `running`")
        return self._nodes[1].launch()

    def is_ready(self) -> bool:
        """Whether every node that should run answers, knows all of them as live, and has a coordinator for groups."""
        wanted = set(self._servers) or set(self._nodes)
        running = [self._nodes[number] for number in wanted]
        return all(node.knows() >= wanted for node in running) and all(node.coordinates_groups() for node in running)

    @contextmanager
    def running(self, log: Path) -> Iterator["Kafka"]:
        """Prepare, start, wait until ready; end on the way out. For tests and one-shot commands.

        Several nodes write a log each: `kafka-1.log` and so on for `kafka.log`. They are not stopped but killed at the
        end, all at once, since the last ones could not end cleanly; what was acknowledged is kept all the same.
        """
        self._log = log
        self.prepare()
        try:
            for number in self._nodes:
                self._start(number)
            for number in self._nodes:
                self._await(number)
            yield self
        finally:
            for number in list(self._servers):
                if self._count > 1:
                    self._servers[number].kill()
            for number in list(self._servers):
                self.stop(number)

    def log(self, number: int) -> Path:
        """Where node `number` writes while `running`."""
        return self._log if self._count == 1 else self._log.with_stem(f"{self._log.stem}-{number}")

    def kill(self, number: int) -> None:
        """SIGKILL to one node that runs; returns when it is gone."""
        self._servers[number].kill()
        self._servers.pop(number).wait()

    def stop(self, number: int) -> None:
        """A clean end of one node that runs: it hands its partitions over first."""
        process.stop(self._servers.pop(number), first=signal.SIGTERM, grace_seconds=STOP_SECONDS)

    def start(self, number: int) -> None:
        """Start one node that was killed or stopped, with its data, on its port; returns when it answers.

        The kernel ends the node with the calling thread, so call it from one that stays.
        """
        if number in self._servers:
            raise ValueError(f"node {number} runs already")
        self._nodes[number].prepare()
        self._start(number)
        self._await(number)

    def restart(self, number: int) -> None:
        """`stop` and `start`."""
        self.stop(number)
        self.start(number)

    def _start(self, number: int) -> None:
        with self.log(number).open("ab") as output:
            self._servers[number] = self._nodes[number].launch().start(output=output.fileno())

    def _await(self, number: int) -> None:
        log = self.log(number)
        try:
            process.wait_until_ready(
                self.is_ready, self._servers[number], log, START_SECONDS, every_seconds=PROBE_SECONDS
            )
        except OperatorError:
            raise OperatorError(f"Kafka did not start: {reason(log)}", remedy=f"see {log}") from None

    def _identity(self) -> tuple[str, dict[int, Ports]]:
        """The cluster's id, made once, and the ports: those of the last time unless somebody else took one."""
        kept = self.directory / "cluster.json"
        values = json.loads(kept.read_text(encoding="ascii")) if kept.exists() else {}
        cluster_id = values.get("cluster_id") or storage.new_id()
        last = [int(port) for port in values.get("ports", [0, 0] * self._count)]
        if len(last) != 2 * self._count:
            raise OperatorError(
                f"the Kafka in {self.directory} has {len(last) // 2} nodes, not {self._count}",
                remedy="use another directory for this one",
            )
        others = iter(unused_ports(len(last)))
        ports = [port if port and is_free(port) else next(others) for port in last]
        write_private(kept, json.dumps({"cluster_id": cluster_id, "ports": ports}) + "\n")
        pairs = zip(ports[::2], ports[1::2], strict=True)
        return cluster_id, {number: Ports(*pair) for number, pair in enumerate(pairs, start=1)}


def _of_size(nodes: int) -> dict[str, str]:
    replicas, in_sync = ("3", "2") if nodes >= 3 else ("1", "1")
    return {
        # How long a killed node counts as live: it may not come back before. Alone it makes way for nobody.
        "broker.session.timeout.ms": "6000" if nodes > 1 else "2000",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": in_sync,
    }


def _say_on_standard_error(line: str) -> None:
    sys.stderr.write(f"kafka: {line}\n")
