"""Which broker a bus is on: `redis://…` means streams, `kafka://host:9092,host:9092` means Kafka."""

from __future__ import annotations

from typing import Final, Protocol
from urllib.parse import urlsplit

from prog_broker.bus.delivering import Deliverer
from prog_broker.bus.redis import GroupReader, ReadingOptions, Replies
from prog_broker.bus.subscriptions import Plan
from prog_broker.ports import Publisher
from prog_broker.redis.connection import connect
from prog_broker.redis.streams import StreamPublisher
from prog_contracts.errors import Unavailable
from prog_kit.secrets import new_token

_REDIS: Final = ("redis", "rediss", "unix")


class Reader(Protocol):
    """Reads one group, from `start` to `stop`."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Broker(Protocol):
    """One broker for one bus."""

    publisher: Publisher

    def reader(self, plan: Plan, deliverer: Deliverer, options: ReadingOptions) -> Reader: ...

    def replies(self) -> Replies:
        """Where answers arrive. Raises Unavailable where they cannot."""
        ...

    async def close(self) -> None: ...


class RedisBroker:
    """Everything over one pool of connections."""

    def __init__(self, url: str) -> None:
        self._client = connect(url, max_connections=512)
        self._replies: Replies | None = None
        self.publisher: Publisher = StreamPublisher(self._client)

    def reader(self, plan: Plan, deliverer: Deliverer, options: ReadingOptions) -> Reader:
        return GroupReader(self._client, plan, deliverer, options)

    def replies(self) -> Replies:
        if self._replies is None:
            self._replies = Replies(self._client, f"prog.replies.{new_token(12)}")
        return self._replies

    async def close(self) -> None:
        if self._replies is not None:
            await self._replies.close()
        await self._client.aclose()


class KafkaBroker:
    """Kafka for messages; Redis, where one is named, for the answers to commands."""

    def __init__(self, url: str, topic_prefix: str, signals_url: str | None) -> None:
        from prog_broker.kafka.connection import Names
        from prog_broker.kafka.publisher import KafkaPublisher

        self._names = Names(urlsplit(url).netloc, topic_prefix)
        self._publisher = KafkaPublisher(self._names)
        self._signals = None if signals_url is None else RedisBroker(signals_url)
        self.publisher: Publisher = self._publisher

    def reader(self, plan: Plan, deliverer: Deliverer, options: ReadingOptions) -> Reader:
        from prog_broker.bus.kafka import KafkaGroupReader

        return KafkaGroupReader(self._names, self._publisher, plan, deliverer, options)

    def replies(self) -> Replies:
        if self._signals is None:
            raise Unavailable("answers travel over Redis: give the bus its address, as signals_url or PROG_REDIS_URL")
        return self._signals.replies()

    async def close(self) -> None:
        await self._publisher.close()
        if self._signals is not None:
            await self._signals.close()


def open_broker(url: str, *, topic_prefix: str = "", signals_url: str | None = None) -> Broker:
    """The broker at `url`; it connects when it is first used. Raises ValueError for an address that is none."""
    if not url:
        raise ValueError("there is no broker: give Bus its address, or set PROG_BROKER_URL")
    scheme = urlsplit(url).scheme
    if scheme in _REDIS:
        return RedisBroker(url)
    if scheme == "kafka":
        return KafkaBroker(url, topic_prefix, signals_url)
    raise ValueError(f"{scheme}:// is no broker that this version reads; use redis://, rediss://, unix:// or kafka://")
