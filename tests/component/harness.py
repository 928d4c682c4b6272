"""Runs messages through the real processing on a real database, without a broker.

    async with Harness(postgres, users, email) as platform:
        answer = await platform.request(RegisterUser(...))
        await platform.settle()                      # every message that followed, in every domain given
        events = await platform.events(UserCreated)

What a broker does is replaced by a loop over the event log; inbox, transactions, retries and dead letters are the real
ones. Replies come back as `prog_broker.replies.Answer`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Self, TypeVar
from uuid import UUID

import asyncpg
import orjson

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole
from prog_broker.domain import Domain
from prog_broker.ports import Delivery, Shard
from prog_broker.processing import Processor
from prog_broker.replies import Answer, open_answer
from prog_broker.settlement import RetryPolicy
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.messages import Command, Message, find
from prog_contracts.topics import TOPICS, topic_of
from prog_kit.database import Database
from prog_kit.secrets import Sealer
from tests.lasting import MOST, kept

M = TypeVar("M", bound=Message)
SECRET_KEYS = ("0123456789abcdef" * 4,)
TOKEN = 1
REPLY_CHANNEL = "replies"

ALL_MINE = """
INSERT INTO bus.shard_leases
SELECT $1, u.topic, u.partition, 'test', $4, 'infinity' FROM unnest($2::text[], $3::integer[]) AS u (topic, partition)
"""
NOT_DELIVERED = """
SELECT * FROM bus.event_log WHERE position > $1 OR position = ANY ($2::bigint[]) ORDER BY position LIMIT 500
"""
FIRST_TIMER = """
DELETE FROM bus.timers WHERE (tenant_id, domain, name) = (
    SELECT tenant_id, domain, name FROM bus.timers WHERE tenant_id = $1 AND due_at <= $2 ORDER BY due_at LIMIT 1
) RETURNING *
"""


class MovableClock:
    """The wall clock of the platform under test; it stands still until it is moved."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at


class Harness:
    """A platform of some domains on one database. Tenants without a test clock live on `clock`, which tests move."""

    def __init__(
        self, url: str, *domains: Domain, at: datetime | None = None, attempts: int = 3, connections: int = MOST
    ) -> None:
        self.url = url
        self.domains = domains
        self.sealer = Sealer(SECRET_KEYS)
        self.clock = MovableClock(at or datetime(2027, 1, 1, 12, 0, tzinfo=UTC))
        self.processors: dict[str, Processor] = {}
        self._attempts = attempts
        self._connections = connections
        self._position = 0
        self._passed_over: set[int] = set()
        """Positions before that one which nobody had written yet: a transaction may take one and commit later."""
        self._exits = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.admin = await self._exits.enter_async_context(kept().administrator(self.url))
        for domain in self.domains:
            database = await self._exits.enter_async_context(self._database(f"prog_{domain.name}"))
            policy = RetryPolicy(attempts=self._attempts, base_seconds=0.001, cap_seconds=0.001)
            self.processors[domain.name] = Processor(domain, database, self.sealer, policy=policy, clock=self.clock)
            await self._lease(domain)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    def _database(self, role: str) -> AbstractAsyncContextManager[Database]:
        if self._connections == MOST:
            return kept().database(self.url, role)
        return self._wide_database(role)

    @asynccontextmanager
    async def _wide_database(self, role: str) -> AsyncIterator[Database]:
        database = await Database.connect(self.url, role, min_size=0, max_size=self._connections)
        try:
            yield database
        finally:
            await database.close()

    def seal(self, secret: str, purpose: str) -> str:
        return self.sealer.seal(secret, purpose)

    async def request(
        self,
        command: Command,
        *,
        tenant_id: str = PLATFORM_TENANT_ID,
        actor: str | None = None,
        message_id: UUID | None = None,
    ) -> Answer:
        """Sends a command to its domain and returns the answer, as the edge would get it."""
        envelope = wrap(
            command,
            tenant_id=tenant_id,
            source="/prognetwork/test",
            now=self.clock.now(),
            message_id=message_id,
            actor=actor,
            reply_to=REPLY_CHANNEL,
        )
        settled = await self.deliver(envelope, command.domain())
        if not settled.answers:
            return Answer(envelope.id, "pending")
        return open_answer(orjson.loads(settled.answers[0].payload), self.sealer)

    async def publish(
        self, event: Message, *, tenant_id: str, to: str | None = None, actor: str | None = None
    ) -> Envelope:
        """Delivers an event to the domains of this platform that consume it (or to the one named `to`)."""
        envelope = wrap(event, tenant_id=tenant_id, source="/prognetwork/test", now=self.clock.now(), actor=actor)
        for group in topic_of(event).consumers:
            if group in self.processors and (to is None or to == group):
                await self.deliver(envelope, group)
        return envelope

    async def deliver(self, envelope: Envelope, group: str) -> Any:
        """Hands one envelope to one consumer group; returns `prog_broker.processing.Settled`."""
        return await self._process(_shard(envelope, group), [envelope])

    async def deliver_batches(self, envelopes: Sequence[Envelope], group: str) -> None:
        """Hands many envelopes to one consumer group as a worker would: all that a shard has at once."""
        shards: dict[Shard, list[Envelope]] = {}
        for envelope in envelopes:
            shards.setdefault(_shard(envelope, group), []).append(envelope)
        for shard, batch in shards.items():
            await self._process(shard, batch)

    async def _process(self, shard: Shard, envelopes: Sequence[Envelope]) -> Any:
        deliveries = [Delivery(b"1-1", envelope.attributes(), envelope.data) for envelope in envelopes]
        return await self.processors[shard.group].process(shard, TOKEN, deliveries)

    async def settle(self, *, limit: int = 1000, at_once: int = 1) -> int:
        """Delivers everything in the event log that was not delivered yet, and what follows; returns how many.

        One message after the other, to each domain that wants it; or so many `at_once`, in the batches of their shards.
        """
        delivered = 0
        while True:
            rows = await self.admin.fetch(NOT_DELIVERED, self._position, self._passed_over)
            if not rows:
                return delivered
            for some in (rows[start : start + at_once] for start in range(0, len(rows), at_once)):
                delivered += len(some)
                assert delivered <= limit, f"more than {limit} messages: a loop? last was {some[-1]['type']}"
                for group in self.processors:
                    wanted = [_envelope(row) for row in some if group in TOPICS[row["topic"]].consumers]
                    await self.deliver_batches(wanted, group)
                # Only now: a cancelled delivery is made again.
                self._pass([row["position"] for row in some])

    def _pass(self, delivered: list[int]) -> None:
        newest = max(self._position, *delivered)
        self._passed_over |= set(range(self._position + 1, newest))
        self._passed_over -= set(delivered)
        self._position = newest

    async def events(self, model: type[M], *, tenant_id: str | None = None) -> list[M]:
        """The messages of a type in the event log, oldest first."""
        rows = await self.admin.fetch(
            "SELECT data FROM bus.event_log WHERE type = $1 AND ($2::text IS NULL OR tenant_id = $2) ORDER BY position",
            model.TYPE,
            tenant_id,
        )
        return [model.model_validate_json(row["data"]) for row in rows]

    async def fetch(self, query: str, *values: Any) -> Sequence[asyncpg.Record]:
        """A query with the administrator's rights: sees every row."""
        return await self.admin.fetch(query, *values)

    async def set_clock(self, tenant_id: str, at: datetime) -> None:
        """Gives a tenant a test clock that stands at `at`, or moves it."""
        await self.admin.execute(
            "INSERT INTO bus.tenant_clocks (tenant_id, stands_at) VALUES ($1, $2)"
            " ON CONFLICT (tenant_id) DO UPDATE SET stands_at = $2",
            tenant_id,
            at,
        )

    async def fire_timers(self, tenant_id: str, at: datetime) -> int:
        """Moves the tenant's clock from timer to timer up to `at`, settling what follows; returns how many fired."""
        fired = 0
        while True:
            row = await self.admin.fetchrow(FIRST_TIMER, tenant_id, at)
            if row is None:
                await self.set_clock(tenant_id, at)
                return fired
            fired += 1
            await self.set_clock(tenant_id, row["due_at"])
            await self.deliver(Envelope.parse(row["attributes"].encode(), row["data"]), row["domain"])
            await self.settle()

    async def _lease(self, domain: Domain) -> None:
        shards = [(topic.name, partition) for topic in domain.topics() for partition in range(topic.partitions)]
        await self.admin.execute(ALL_MINE, domain.name, [name for name, _ in shards], [n for _, n in shards], TOKEN)


def _shard(envelope: Envelope, group: str) -> Shard:
    model = find(envelope.type, envelope.schema_version)
    topic = TOPICS["prog.events.events"] if model is None else topic_of(model)
    return Shard(group, topic, topic.partition_of(envelope.partition_key))


def _envelope(row: asyncpg.Record) -> Envelope:
    return Envelope(
        id=row["message_id"],
        type=row["type"],
        source=f"/prognetwork/{row['source_domain']}",
        tenant_id=row["tenant_id"],
        partition_key=row["partition_key"],
        correlation_id=row["correlation_id"],
        time=row["occurred_at"],
        data=row["data"],
        schema_version=row["schema_version"],
        causation_id=row["causation_id"],
        subject=row["subject"],
        actor=row["actor"],
        traceparent=row["traceparent"],
    )
