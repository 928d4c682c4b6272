"""Which broker it is: `redis://…` means streams, `kafka://host:9092,host:9092` means Kafka."""

from __future__ import annotations

from prog_broker.ports import Transport
from prog_broker.redis.transport import RedisTransport
from prog_kit.settings import Settings


def open_transport(settings: Settings) -> Transport:
    """The transport of the broker that the settings name. It connects when it is first used, or by `start`."""
    if settings.effective_broker_url.startswith("kafka://"):
        from prog_broker.kafka.transport import KafkaTransport

        return KafkaTransport(settings)
    return RedisTransport(settings)
