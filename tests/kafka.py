"""Kafka for tests: a real one, started by the first test that asks for it, and ended when no other test on Kafka comes
next. One worker runs them all (`tests/order.py`).

It is the server that PROG_TEST_KAFKA_URL names, else a container where a Docker engine answers, else Kafka's own jars.
Where a machine lacks what the jars need, the test is skipped with the remedy; CI allows no skip and installs it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from prog_infra.servers import Kafka
from prog_infra.servers.kafka.java import NotInstalled
from tests.running import run
from tests.waiting import wait_until

IMAGE = "confluentinc/cp-kafka:8.0.0"  # Apache Kafka 4.0


class TestKafka:
    """Starts the server when it is first asked for; `close` ends it."""

    __test__ = False

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._exits = ExitStack()
        self._url = self._given = os.environ.get("PROG_TEST_KAFKA_URL", "")

    def close(self) -> None:
        """End it; the next test that asks for it has it started again."""
        self._exits.close()
        self._url = self._given

    @property
    def url(self) -> str:
        """kafka://host:port,…"""
        if not self._url:
            source = _container() if _docker_answers() else _jars(self._directory)
            self._url = self._exits.enter_context(source)
        return self._url

    def empty(self) -> str:
        """Forget all topics, and with them what groups had read of them; its address."""
        run(_delete_topics(bootstrap(self.url)))
        return self.url


def bootstrap(url: str) -> str:
    """What Kafka's clients take for a broker's address."""
    return url.removeprefix("kafka://")


def require_jars() -> None:
    """Have Kafka's jars on this machine, or skip the test."""
    try:
        Kafka(Path()).fetch()
    except NotInstalled as missing:
        pytest.skip(str(missing))


@contextmanager
def _jars(directory: Path) -> Iterator[str]:
    require_jars()
    with Kafka(directory / "kafka").running(directory / "kafka.log") as kafka:
        yield kafka.url()


@contextmanager
def _container() -> Iterator[str]:
    from testcontainers.community.kafka import KafkaContainer

    server = KafkaContainer(IMAGE).with_kraft().with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
    with server as running:
        yield f"kafka://{running.get_bootstrap_server()}"


def _docker_answers() -> bool:
    docker = shutil.which("docker")
    return docker is not None and subprocess.run([docker, "version"], check=False, capture_output=True).returncode == 0


async def topics(url: str) -> list[str]:
    """The topics that are there."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap(url))
    await admin.start()
    try:
        return await _topics(admin)
    finally:
        await admin.close()


async def _delete_topics(addresses: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=addresses)
    await admin.start()
    try:
        await admin.delete_topics(await _topics(admin))

        async def gone() -> bool:
            return not await _topics(admin)

        await wait_until(gone, within_seconds=60, what="the end of the topics")
    finally:
        await admin.close()


async def _topics(admin: AIOKafkaAdminClient) -> list[str]:
    return [name for name in await admin.list_topics() if not name.startswith("__")]
