"""`prog up --broker kafka` as a person meets it: the story over a real Kafka, killed, stopped and started again."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from prog_infra.servers import free_port
from prog_infra.servers.kafka import distribution
from tests import forking
from tests.clusters import Clusters
from tests.depth import by_depth
from tests.up import PROCESSES, Up, lives
from tests.waiting import wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, kafka_jars: None, clusters: Clusters) -> Iterator[Up]:
    """On data that was there before, of a platform whose messages travelled over Redis."""
    data, port = tmp_path_factory.mktemp("kafka") / "data of ours", free_port()
    first = Up(data, port, clusters=clusters)
    first.wait_ready()
    first.stop(signal.SIGINT)
    up = Up(data, port, "--broker", "kafka", forked=by_depth(usual=True, thorough=False))
    up.wait_ready()
    yield up
    up.process.send_signal(signal.SIGINT)
    up.process.wait(60)
    up.close()


def prog(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PROG_")}
    return forking.run([sys.executable, "-m", "prog_infra.cli", *arguments], timeout=300, env=clean | variables)


def platform(data: Path) -> dict[str, str]:
    variables: dict[str, str] = json.loads((data / "platform.json").read_text())
    return variables


def tell_the_story(data: Path) -> dict[str, Any]:
    done = prog("demo", "--data", str(data), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    assert result["ok"] is True
    assert result["dead_letters"] == 0
    assert result["mails"] == 14
    return result


@pytest.fixture(scope="module")
def told(up: Up) -> dict[str, Any]:
    """How it went when the story was told to this module's platform."""
    return tell_the_story(up.data)


def test_a_change_of_brokers_is_told(up: Up) -> None:
    assert (
        "prog up: messages travel over Kafka from now on; what nobody had handled yet waits in Redis until that is"
        " the broker again\n"
    ) in up.lines


def test_messages_travel_over_kafka_and_answers_over_valkey(up: Up) -> None:
    variables = platform(up.data)
    assert variables["PROG_BROKER_URL"].startswith("kafka://127.0.0.1:")
    assert variables["PROG_REDIS_URL"].startswith("unix://")
    assert variables["PROG_BROKER_URL"].removeprefix("kafka://") in "".join(up.lines)
    assert up.server("java") is not None
    assert up.server("valkey-server") is not None
    assert {title for title in PROCESSES if up.find(title)} == set(PROCESSES)


def test_the_whole_story_is_told(told: dict[str, Any]) -> None:
    assert all(step["ok"] for step in told["steps"])


def test_the_topics_are_in_order_and_the_doctor_finds_nothing_wrong(up: Up) -> None:
    variables = platform(up.data)
    synced = prog("topics", "sync", "--json", **variables)
    assert json.loads(synced.stdout) == {"ok": True, "made": 0}
    examined = prog("doctor", "--data", str(up.data), "--json")
    findings = {finding["check"]: finding["verdict"] for finding in json.loads(examined.stdout)["findings"]}
    assert findings["Kafka"] == "ok", examined.stdout
    assert "failed" not in findings.values(), examined.stdout


def test_kafkas_own_console_consumer_shows_cloud_events(up: Up, told: dict[str, Any]) -> None:
    kafka = distribution.resolve(lambda line: None)
    addresses = platform(up.data)["PROG_BROKER_URL"].removeprefix("kafka://")
    arguments = ["--topic", "prog.tenants.events", "--from-beginning", "--max-messages", "1", "--timeout-ms", "60000"]
    shown = subprocess.run(
        [
            kafka.java.program,
            *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *([f"-XX:SharedArchiveFile={kafka.class_data}"] if kafka.has_class_data else []),
            "org.apache.kafka.tools.consumer.ConsoleConsumer",
            *("--bootstrap-server", addresses, *arguments),
            *("--formatter-property", "print.headers=true", "--formatter-property", "print.key=true"),
        ],
        env={"CLASSPATH": kafka.classpath},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    assert "ce_specversion:1.0" in shown
    assert "ce_type:prognetwork.tenants." in shown
    assert "ce_tenantid:" in shown
    assert '"tenant_id":"' in shown


async def test_after_a_killed_supervisor_and_a_killed_kafka_the_story_goes_on(up: Up) -> None:
    server, address = up.server("java"), platform(up.data)["PROG_BROKER_URL"]
    assert server is not None
    up.process.kill()
    up.process.wait()
    await wait_until(lambda: not lives(server), within_seconds=60, what="the end of Kafka")
    again = Up(up.data, up.port)
    try:
        again.wait_ready()
        assert "prog up: messages travel over Kafka, as the last time\n" in again.lines
        before = again.server("java")
        assert before is not None
        if by_depth(usual=False, thorough=True):
            tell_the_story(up.data)
        before.kill()

        def is_back() -> bool:
            now = again.server("java")
            return now is not None and now.pid != before.pid

        await wait_until(is_back, within_seconds=60, what="the new Kafka")
        assert platform(up.data)["PROG_BROKER_URL"] == address
        tell_the_story(up.data)
    finally:
        family = [psutil.Process(again.process.pid), *again.family()]
        again.stop(signal.SIGINT)
    assert not [member for member in family if lives(member)]


def test_another_broker_than_the_address_given_is_refused_in_one_line(tmp_path: Path) -> None:
    refused = prog("up", "--data", str(tmp_path / "data"), "--broker", "kafka", PROG_BROKER_URL="redis://127.0.0.1/0")
    assert refused.returncode == 1
    assert refused.stderr.startswith("prog: --broker kafka contradicts PROG_BROKER_URL, which names Redis - ")


def test_a_machine_without_java_or_maven_is_told_in_one_line(tmp_path: Path) -> None:
    refused = prog(
        *("up", "--data", str(tmp_path / "data"), "--port", str(free_port()), "--broker", "kafka"),
        PATH=str(tmp_path),
        JAVA_HOME=str(tmp_path),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "there is no Maven on this machine" in line
    assert "apt install maven" in line
    assert not (tmp_path / "data" / "postgres").exists()
