"""Messages as any CloudEvents SDK reads and writes them, here Python's official one, and as redis-cli shows them."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import new_id
from prog_contracts.signing import SigningKey
from prog_contracts.tenants import TenantUpdated
from prog_contracts.topics import TOPICS, topic_of
from prog_kit.secrets import producer_keys
from tests.integration.broker.conftest import Rig, eventually
from tests.kafka import bootstrap

COMMANDS, EVENTS = TOPICS["prog.tenants.commands"], TOPICS["prog.tenants.events"]
NAME = "Zoë & Söhne, 東京 – „100 %“"


async def as_stored(rig: Rig, partition: int) -> tuple[dict[str, bytes], bytes | None, bytes]:
    """The newest message of a partition of EVENTS, as Kafka keeps it: headers, key, value."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap(rig.settings.effective_broker_url))
    place = TopicPartition(f"{rig.settings.kafka_topic_prefix}{EVENTS.name}", partition)
    consumer.assign([place])
    await consumer.start()
    try:
        await consumer.seek_to_beginning(place)
        record: Any = await consumer.getone(place)
        return dict(record.headers), record.key, record.value
    finally:
        await consumer.stop()


async def read_by_the_sdk(rig: Rig, partition: int) -> Any:
    if rig.transport.kind == "kafka":
        headers, key, value = await as_stored(rig, partition)
        return kafka.from_binary(kafka.KafkaMessage(headers, key, value), JSONFormat())
    entries: Any = await rig.redis.xrange(EVENTS.stream(partition))
    [(_, fields)] = entries
    return JSONFormat().read(None, json.dumps(json.loads(fields[b"ce"]) | {"data": json.loads(fields[b"data"])}))


async def test_the_official_sdk_reads_what_we_publish(rig: Rig) -> None:
    event = TenantUpdated(tenant_id=new_id("tenant"), name=NAME, status="active")
    envelope = wrap(event, tenant_id=event.tenant_id, source="/test", actor="Müller")
    await rig.transport.publisher.send([(topic_of(event), envelope)])
    read = await read_by_the_sdk(rig, EVENTS.partition_of(event.tenant_id))
    assert read.get_id() == str(envelope.id)
    assert read.get_type() == "prognetwork.tenants.tenant_updated"
    assert (read.get_source(), read.get_subject()) == ("/test", event.tenant_id)
    assert abs((read.get_time() - envelope.time).total_seconds()) < 1e-5
    assert read.get_data()["name"] == NAME
    assert read.get_extension("tenantid") == read.get_extension("partitionkey") == event.tenant_id
    assert read.get_extension("actor") == "Müller"


def test_the_official_sdk_reads_the_structured_form() -> None:
    event = TenantUpdated(tenant_id=new_id("tenant"), name=NAME, status="active")
    envelope = wrap(event, tenant_id=event.tenant_id, source="/test", actor="Müller")
    read = JSONFormat().read(None, json.dumps(envelope.json()))
    assert (read.get_extension("actor"), read.get_data()) == ("Müller", json.loads(envelope.data))


async def test_the_worker_accepts_what_the_official_sdk_writes(rig: Rig) -> None:
    """With a subject beyond ASCII, an offset in the time, a charset in the content type, and headers of others."""
    await rig.worker()
    tenant, message_id = new_id("tenant"), uuid4()
    event = CloudEvent(
        {
            "id": str(message_id), "type": "prognetwork.tenants.rename_tenant", "source": "/php/shop", "subject": NAME,
            "time": datetime.fromisoformat("2026-11-26T12:00:00.5+02:00").replace(microsecond=0),
            "datacontenttype": "application/json; charset=utf-8", "tenantid": tenant, "correlationid": str(message_id),
            "partitionkey": tenant, "actor": "Пётр", "ownextension": "ours alone",
        },
        {"tenant_id": tenant, "name": NAME},
    )  # fmt: skip
    partition = COMMANDS.partition_of(tenant)
    message = kafka.to_binary(event, JSONFormat())
    attributes = {name.removeprefix("ce_"): value.decode() for name, value in message.headers.items()}
    attributes["datacontenttype"] = attributes.pop("content-type")
    own = Envelope.of(attributes, message.value)
    key = SigningKey("prognetwork", producer_keys(rig.settings.secret_keys, "prognetwork")[0])
    signature = {"producer": "prognetwork", "signature": key.signature(own)}
    if rig.transport.kind == "kafka":
        headers = [*message.headers.items(), *((f"ce_{name}", text.encode()) for name, text in signature.items())]
        headers += [("x-b3-traceid", "å".encode()), ("binary", b"\xff\x00"), ("empty", b"")]
        async with rig.producer() as producer:
            name = f"{rig.settings.kafka_topic_prefix}{COMMANDS.name}"
            await producer.send_and_wait(name, message.value, key=b"k", partition=partition, headers=headers)
    else:
        ce = json.dumps(attributes | signature, ensure_ascii=False)  # as other languages write JSON
        await rig.redis.xadd(COMMANDS.stream(partition), {"ce": ce, "data": message.value})
    asked = "SELECT subject, actor, sent_at FROM bus.inbox WHERE message_id = $1"
    await eventually(lambda: rig.admin.fetchrow(asked, message_id), seconds=60)
    row = await rig.admin.fetchrow(asked, message_id)
    assert row is not None
    assert rig.ledger.handled == [NAME]
    assert (row["subject"], row["actor"]) == (NAME, "Пётр")
    assert row["sent_at"] == datetime(2026, 11, 26, 10, tzinfo=UTC)


@pytest.fixture
async def wire(valkey_url: str) -> AsyncIterator[socket.socket]:
    parts = urlsplit(valkey_url)
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(f"AUTH {parts.password}\r\n".encode())
        assert connection.recv(64) == b"+OK\r\n"
        yield connection


async def test_redis_cli_shows_messages_in_plain_sight(valkey_url: str, wire: socket.socket) -> None:
    """What the server sends for XRANGE is what redis-cli prints: two fields, both readable JSON."""
    from prog_broker import Bus

    event = TenantUpdated(tenant_id=new_id("tenant"), name="Acme", status="active")
    async with Bus(valkey_url) as bus:
        await bus.publish(event, tenant_id=event.tenant_id)
    stream = EVENTS.stream(EVENTS.partition_of(event.tenant_id))
    wire.sendall(f"XRANGE {stream} - +\r\n".encode())
    answer = b""
    while answer.count(b"\r\n") < 13:
        answer += wire.recv(65536)
    lines = answer.decode("ascii").split("\r\n")
    texts = [line for line in lines if line and line[0] not in "*$"]
    _, name, attributes, other, body = texts
    assert (name, other) == ("ce", "data")
    shown = json.loads(attributes)
    assert (shown["type"], shown["tenantid"]) == ("prognetwork.tenants.tenant_updated", event.tenant_id)
    assert json.loads(body) == {"tenant_id": event.tenant_id, "name": "Acme", "status": "active", "changed": []}
