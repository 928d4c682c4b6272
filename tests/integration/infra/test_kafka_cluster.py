"""Three nodes of the local Kafka, one of them lost, and what `prog doctor` says of that.

They run on the data of three that were there before: those ended when their parent was killed.
"""

import asyncio
from collections.abc import Iterator

import pytest
from aiokafka import TopicPartition

from prog_broker.transport import open_transport
from prog_contracts.topics import TOPICS
from prog_infra.doctor import examine
from prog_infra.servers import Kafka
from prog_kit.settings import Settings
from tests.depth import by_depth
from tests.integration.infra.test_doctor import verdicts
from tests.integration.infra.test_kafka import (
    PATIENCE_SECONDS,
    make_topic,
    nodes_of,
    produce,
    producer,
    read,
    supervisor,
)
from tests.running import run
from tests.waiting import wait_until

pytestmark = pytest.mark.slow(15)

SOON_MISSED = {"broker.session.timeout.ms": "2500"}
"""A killed node comes back when the others count it as gone: half a minute of this module would be waited for that."""

LOST = by_depth(usual=1, thorough=3)
"""How many nodes are lost, one after the other: the leader is the first."""


@pytest.fixture(scope="module")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory, kafka_jars: None) -> Iterator[Kafka]:
    """To kill, stop and start; every test leaves all three running."""
    folder = tmp_path_factory.mktemp("kafka-cluster")
    with supervisor(folder, nodes=3) as parent:
        seen = wait_until(lambda: len(nodes_of(folder / "kafka")) == 3, within_seconds=60, what="three nodes")
        run(seen)
        if by_depth(usual=False, thorough=True):  # they are up, which takes two seconds of processor each
            assert parent.stdout is not None
            addresses = parent.stdout.readline().strip()
            run(make_topic(addresses, "kept", replicas=3))
            run(produce(addresses, "kept", b"before the parent is killed"))
    with Kafka(folder / "kafka", nodes=3, settings=SOON_MISSED).running(folder / "kafka.log") as kafka:
        yield kafka


async def test_nodes_of_a_killed_parent_end_and_their_data_is_used_again(kafka_cluster: Kafka) -> None:
    """At the usual depth they are killed before they have any."""
    assert len(nodes_of(kafka_cluster.directory)) == 3
    if by_depth(usual=False, thorough=True):
        assert await read(kafka_cluster.bootstrap, "kept", 1) == [b"before the parent is killed"]


async def test_a_cluster_of_three_loses_one_node_and_nothing_else_and_the_doctor_warns_until_it_is_back(
    environment: dict[str, str], kafka_cluster: Kafka
) -> None:
    environment["PROG_BROKER_URL"] = kafka_cluster.url()
    transport = open_transport(Settings.load(environment))
    await transport.ensure(TOPICS.values())
    await transport.close()

    async def topics_are(verdict: str) -> bool:
        return verdicts(await examine(environment)).get("topics") == verdict

    await make_topic(kafka_cluster.bootstrap, "precious", partitions=3, replicas=3)
    async with producer(kafka_cluster.bootstrap) as client, asyncio.timeout(5 * PATIENCE_SECONDS):
        await client.send_and_wait("precious", b"first", partition=0)
        leader = client.client.cluster.leader_for_partition(TopicPartition("precious", 0))
        nodes = sorted((1, 2, 3), key=lambda number: number != leader)[:LOST]
        for number in nodes:
            await client.send_and_wait("precious", b"before %d" % number, partition=0)
            await wait_until(lambda: topics_are("ok"), within_seconds=60, what="all copies")
            kafka_cluster.kill(number)
            await client.send_and_wait("precious", b"without %d" % number, partition=0)
            await wait_until(lambda: topics_are("warning"), within_seconds=60, what="the warning")
            kafka_cluster.start(number)
    await wait_until(lambda: topics_are("ok"), within_seconds=60, what="all copies again")
    expected = [b"first", *(text % number for number in nodes for text in (b"before %d", b"without %d"))]
    assert list(dict.fromkeys(await read(kafka_cluster.bootstrap, "precious", len(expected)))) == expected


async def test_a_node_that_is_stopped_hands_over_and_comes_back(kafka_cluster: Kafka) -> None:
    await make_topic(kafka_cluster.bootstrap, "handed-over", replicas=3)
    kafka_cluster.stop(2)
    assert len(nodes_of(kafka_cluster.directory)) == 2
    await produce(kafka_cluster.bootstrap, "handed-over", b"meanwhile")
    kafka_cluster.start(2)
    assert len(nodes_of(kafka_cluster.directory)) == 3
    assert await read(kafka_cluster.bootstrap, "handed-over", 1) == [b"meanwhile"]
