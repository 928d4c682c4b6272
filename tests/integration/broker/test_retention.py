"""How long a broker keeps messages: Redis until all have handled them and longer, Kafka by time alone."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from prog_broker.redis.connection import connect
from prog_broker.redis.trimming import trim
from prog_broker.transport import open_transport
from prog_contracts.ids import new_message_id
from prog_contracts.topics import TOPICS
from prog_kit.settings import Settings
from tests.kafka import bootstrap

EVENTS = TOPICS["prog.events.events"]


async def test_a_stream_is_trimmed_by_the_setting_and_never_before_everybody_has_handled_it(valkey_url: str) -> None:
    redis = connect(valkey_url)
    stream = EVENTS.stream(0)
    entry: dict[Any, Any] = {"ce": "{}", "data": "{}"}
    for number in range(1, 401):  # in the first seconds of 1970: long over any retention
        await redis.xadd(stream, entry, id=f"{number}-0")
    for group in EVENTS.consumers:
        await redis.xgroup_create(stream, group, id="0")
    await trim(redis, [EVENTS], retention_hours=1)
    assert await redis.xlen(stream) == 400, "nobody has handled them"
    for group in EVENTS.consumers:
        await redis.xgroup_setid(stream, group, "400-0")
    await trim(redis, [EVENTS], retention_hours=24 * 365 * 100)
    assert await redis.xlen(stream) == 400, "the setting goes before the topic table"
    await trim(redis, [EVENTS], retention_hours=1)
    assert await redis.xlen(stream) < 200
    await redis.aclose()


async def test_a_program_that_is_gone_holds_a_stream_for_two_weeks_and_no_longer(
    valkey_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its group stays in Redis for good; without an end to the waiting the stream would fill the server."""
    redis = connect(valkey_url)
    stream = EVENTS.stream(1)
    entry: dict[Any, Any] = {"ce": "{}", "data": "{}"}
    now = int((await redis.time())[0]) * 1000
    recently, long_ago = now - 3 * 86_400_000, now - 16 * 86_400_000
    for number in range(400):
        await redis.xadd(stream, entry, id=f"{long_ago + number}-0")
    for number in range(400):
        await redis.xadd(stream, entry, id=f"{recently + number}-0")
    for group in EVENTS.consumers:
        await redis.xgroup_create(stream, group, id="$")
    await redis.xgroup_create(stream, "reports", id=f"{long_ago + 9}-0")
    await redis.xgroup_create(stream, "caught-up", id=f"{recently + 399}-0")
    assert await trim(redis, [EVENTS], retention_hours=24 * 3) == 0, "not two weeks over the retention"
    assert "waited for no longer" not in capsys.readouterr().out
    assert await trim(redis, [EVENTS], retention_hours=24) > 300
    assert await redis.xlen(stream) >= 400, "it may still come back for what is not so old"
    told = capsys.readouterr().out
    assert "waited for no longer" in told
    assert "reports" in told
    assert "caught-up" not in told
    await redis.aclose()


async def test_topics_of_kafka_are_made_with_the_retention_of_the_setting(valkey_url: str, kafka_url: str) -> None:
    prefix = f"r{new_message_id().hex[-10:]}."
    settings = Settings(
        database_url="postgresql://nobody/x", redis_url=valkey_url, secret_keys=("0123456789abcdef" * 4,),
        broker_url=kafka_url, kafka_topic_prefix=prefix, kafka_retention_hours=5,
    )  # fmt: skip
    transport = open_transport(settings)
    topics = [EVENTS, TOPICS["prog.events.dead"]]
    await transport.ensure(topics)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap(kafka_url))
    await admin.start()
    try:
        kept = [await _retention_hours(admin, f"{prefix}{topic.name}") for topic in topics]
        assert kept == [5, 10]
    finally:
        await admin.delete_topics([f"{prefix}{topic.name}" for topic in topics])
        await admin.close()
        await transport.close()


async def _retention_hours(admin: AIOKafkaAdminClient, name: str) -> float:
    [answer] = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
    for entry in answer.resources[0][4]:
        if entry[0] == "retention.ms":
            return int(entry[1]) / 3_600_000
    raise AssertionError(f"{name} has no retention.ms")
