"""The Kafka that tests share is one: what it is given it gives in order, and emptied it has nothing."""

from aiokafka.admin import AIOKafkaAdminClient

from tests.integration.infra.test_kafka import make_topic, producer, read
from tests.kafka import bootstrap


async def test_what_is_produced_is_consumed_in_order(empty_kafka: str) -> None:
    addresses = bootstrap(empty_kafka)
    await make_topic(addresses, "order", partitions=3)
    sent = [b"%d" % number for number in range(500)]
    async with producer(addresses) as client:
        for delivery in [await client.send("order", value, key=b"one") for value in sent]:
            await delivery
    assert await read(addresses, "order", len(sent)) == sent


async def test_an_emptied_kafka_has_no_topic_and_makes_none_by_itself(empty_kafka: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap(empty_kafka))
    await admin.start()
    try:
        [asked] = await admin.describe_topics(["never-made"])
        assert asked["error_code"] == 3  # UNKNOWN_TOPIC_OR_PARTITION
        assert not [name for name in await admin.list_topics() if not name.startswith("__")]
    finally:
        await admin.close()
