"""What the contestants stand on: a Valkey that writes its append-only file every second, a PostgreSQL with fsync."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from prog_broker.redis.connection import Client, connect
from prog_broker.redis.streams import ensure_group
from prog_contracts.envelope import Envelope
from prog_infra import migrations
from prog_infra.bench.bus import message
from prog_infra.errors import OperatorError
from prog_infra.servers import Postgres, Valkey

DATABASE: Final = "bench"
SCHEMA: Final = """
CREATE SCHEMA bench;
CREATE TABLE bench.inbox (message_id uuid PRIMARY KEY, handled_at timestamptz NOT NULL DEFAULT clock_timestamp());
"""
_VALKEY: Final = {"auto-aof-rewrite-percentage": "0"}
"""The file is rewritten between two contests, not when it happens to be long."""


@dataclass(frozen=True, slots=True)
class Stage:
    """The servers, and connections of the judge, who fills streams and counts what came out."""

    folder: Path
    redis_url: str
    database_url: str
    redis: Client
    database: asyncpg.Connection[asyncpg.Record]
    kafka: object | None = None
    """What the contests on Kafka bring along (`prog_infra.bench.bus.kafka`)."""

    def environment(self, **more: str) -> dict[str, str]:
        """The variables of a contestant's process."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("PROG_")}
        return clean | {
            "PROG_ENV": "test",
            "PROG_REDIS_URL": self.redis_url,
            "PROG_DATABASE_URL": self.database_url,
            "PROG_SECRET_KEYS": "0123456789abcdef" * 4,
            "PROG_LOG_LEVEL": "warning",
            "PROG_BATCH_SIZE": str(message.BATCH),
            "PROG_LEASE_SECONDS": "300",  # the gun is held for as long as filling takes
            **more,
        }

    async def fill(self, stream: str, envelopes: Iterable[Envelope], groups: Iterable[str] = ()) -> None:
        """Puts the envelopes on one stream, as the platform would, for these groups."""
        for group in groups:
            await ensure_group(self.redis, stream, group)
        await self.add(stream, [{"ce": envelope.attributes(), "data": envelope.data} for envelope in envelopes])

    async def add(self, stream: str, entries: Iterable[Mapping[Any, Any]]) -> None:
        pipeline = self.redis.pipeline(transaction=False)
        for entry in entries:
            pipeline.xadd(stream, entry)  # type: ignore[arg-type]
        await pipeline.execute()

    async def content(self, streams: Iterable[str]) -> tuple[int, int]:
        """How many entries lie on these streams, and the sum of their numbers."""
        count = total = 0
        for stream in streams:
            last = "-"
            while entries := await self.redis.xrange(stream, min=last, count=5000):
                for entry_id, fields in entries:
                    assert fields is not None
                    count += 1
                    total += orjson.loads(fields[b"data"])["number"]
                    last = f"({_text(entry_id)}"
        return count, total

    async def is_settled(self, stream: str, group: str) -> bool:
        """Whether the group has got past the last entry and holds none back."""
        info: dict[str, Any] = await self.redis.xinfo_stream(stream)
        groups: list[dict[str, Any]] = await self.redis.xinfo_groups(stream)
        return any(
            each["name"] == group.encode()
            and each["pending"] == 0
            and each["last-delivered-id"] == info["last-generated-id"]
            for each in groups
        )

    async def empty(self, streams: Iterable[str]) -> None:
        """Takes all entries off; the groups stay."""
        for stream in streams:
            await self.redis.xtrim(stream, maxlen=0, approximate=False)

    async def tidy(self) -> None:
        """Between two contests: forget everything, and begin new files."""
        await self.redis.flushall()
        await self.redis.bgrewriteaof()
        while (await self.redis.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110 - no signal tells it
            await asyncio.sleep(0.02)
        await self.database.execute("TRUNCATE bus.inbox, bus.event_log, bench.inbox")
        await self.database.execute("CHECKPOINT")


@dataclass(frozen=True, slots=True)
class Servers:
    """What runs while the contests are held."""

    folder: Path
    redis_url: str
    database_url: str


@contextmanager
def servers() -> Iterator[Servers]:
    """Servers of our own in a directory that goes away. Raises OperatorError when one does not start."""
    with tempfile.TemporaryDirectory(prefix="prog-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        os.chmod(name, 0o711)  # noqa: PTH101, S103 - root's servers run as another user, who has to pass
        postgres, valkey = Postgres(folder / "postgres"), Valkey(folder / "valkey", settings=_VALKEY)
        with postgres.running(folder / "postgres.log"), valkey.running(folder / "valkey.log"):
            yield Servers(folder, valkey.url(), postgres.url(DATABASE))


async def furnish(servers: Servers) -> None:
    """Makes the database with all its tables."""
    await migrations.create_database(servers.database_url)
    await migrations.migrate(servers.database_url)
    database = await asyncpg.connect(servers.database_url)
    await database.execute(SCHEMA)
    await database.close()


@asynccontextmanager
async def connected(servers: Servers) -> AsyncIterator[Stage]:
    """The judge's connections to servers that are furnished."""
    database, redis = await asyncpg.connect(servers.database_url), connect(servers.redis_url)
    try:
        yield Stage(servers.folder, servers.redis_url, servers.database_url, redis, database)
    finally:
        await database.close()
        await redis.aclose()


@asynccontextmanager
async def stage() -> AsyncIterator[Stage]:
    """A stage with servers of our own. Raises OperatorError when one does not start."""
    with servers() as own:
        await furnish(own)
        async with connected(own) as stage:
            yield stage


def _text(value: bytes | str | None) -> str:
    assert isinstance(value, bytes)
    return value.decode()


def must(condition: bool, told: str) -> None:
    """Raises OperatorError unless what a contestant claims is so: a figure of work not done is no figure."""
    if not condition:
        raise OperatorError(f"the benchmark does not add up: {told}", remedy="this is a defect; please report it")
