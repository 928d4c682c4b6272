"""The topic table: each topic with its partitions, retention and consumers. Nothing else says where a message goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal
from zlib import crc32

from prog_contracts.messages import Command, Message

DOMAINS: Final = ("users", "tenants", "payments", "email", "monitoring", "events")
"""One consumer group a domain; the group has the domain's name."""

KAFKA_RETENTION_HOURS: Final = 168
"""Kafka lets go of what is old whether it was read or not, so it keeps longer than a stream, which never does."""

TopicKind = Literal["commands", "events", "dead"]


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic `prog.<domain>.<kind>` of `partitions` streams (Redis) or partitions (Kafka)."""

    domain: str
    kind: TopicKind
    partitions: int
    retention_hours: int
    consumers: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"prog.{self.domain}.{self.kind}"

    def stream(self, partition: int) -> str:
        """The Redis stream of one partition, such as `prog.users.commands.0`."""
        return f"{self.name}.{partition}"

    def partition_of(self, key: str) -> int:
        """The partition of a key: CRC-32 of its UTF-8 bytes, so that every language and broker agrees."""
        return crc32(key.encode()) % self.partitions


_EVENT_CONSUMERS: Final[dict[str, tuple[str, ...]]] = {
    "users": ("tenants", "payments", "email", "monitoring", "events"),
    "tenants": ("users", "payments", "email", "monitoring", "events"),
    "payments": ("users", "tenants", "email", "monitoring", "events"),
    "email": ("users", "monitoring", "events"),
    "monitoring": ("events",),
    "events": ("monitoring",),
}

TOPICS: Final[dict[str, Topic]] = {
    topic.name: topic
    for domain in DOMAINS
    for topic in (
        Topic(domain, "commands", partitions=4, retention_hours=24, consumers=(domain,)),
        Topic(domain, "events", partitions=4, retention_hours=72, consumers=_EVENT_CONSUMERS[domain]),
        Topic(domain, "dead", partitions=1, retention_hours=24 * 14, consumers=()),
    )
}


def topic_of(message: Message | type[Message]) -> Topic:
    """The topic that carries a message: its domain's commands or events."""
    cls = message if isinstance(message, type) else type(message)
    kind = "commands" if issubclass(cls, Command) else "events"
    return TOPICS[f"prog.{cls.domain()}.{kind}"]


def dead_topic(group: str) -> Topic:
    """Where the dead letters of a consumer group are announced."""
    return TOPICS[f"prog.{group}.dead"]


def consumed_by(group: str) -> Iterator[Topic]:
    """The topics that a consumer group reads."""
    return (topic for topic in TOPICS.values() if group in topic.consumers)
