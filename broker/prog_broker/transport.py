"""Which broker it is: `redis://…` means streams, `kafka://host:9092,host:9092` means Kafka.

What a transport publishes to commands topics is signed by the platform (`prog_broker.producers`).
"""

from __future__ import annotations

from prog_broker.ports import Transport
from prog_broker.producers import SigningPublisher
from prog_broker.redis.transport import RedisTransport
from prog_kit.settings import Settings


def open_transport(settings: Settings) -> Transport:
    """The transport of the broker that the settings name. It connects when it is first used, or by `start`."""
    if settings.effective_broker_url.startswith("kafka://"):
        from prog_broker.kafka.transport import KafkaTransport

        kafka = KafkaTransport(settings)
        kafka.publisher = SigningPublisher.of_platform(kafka.publisher, settings.secret_keys)
        return kafka
    redis = RedisTransport(settings)
    redis.publisher = SigningPublisher.of_platform(redis.publisher, settings.secret_keys)
    return redis
