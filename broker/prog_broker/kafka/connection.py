"""Names, addresses and errors of Kafka, translated into ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from prog_broker.ports import Outages, Shard
from prog_contracts.topics import TOPICS, Topic
from prog_kit.settings import Settings

OUTAGES: Final[Outages] = (KafkaError, OSError)
"""What aiokafka raises while brokers are away. Its other errors, of topics that are not made yet for one, pass too."""

REQUEST_TIMEOUT_MILLISECONDS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Names:
    """Where this platform's topics and groups are on a cluster that it may share with others."""

    bootstrap: str
    prefix: str

    @classmethod
    def of(cls, settings: Settings) -> Names:
        return cls(urlsplit(settings.effective_broker_url).netloc, settings.kafka_topic_prefix)

    def topic(self, topic: Topic) -> str:
        return f"{self.prefix}{topic.name}"

    def topic_named(self, name: str) -> Topic:
        return TOPICS[name.removeprefix(self.prefix)]

    def group(self, name: str) -> str:
        """The consumer group of a domain: `prog.users`. Its offsets are what Kafka's own tools show."""
        return f"{self.prefix}prog.{name}"

    def partition(self, shard: Shard) -> TopicPartition:
        return TopicPartition(self.topic(shard.topic), shard.partition)
