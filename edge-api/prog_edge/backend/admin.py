"""Behind the admin console: reads across tenants as the platform's operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Literal, Protocol, TypeAlias, TypeVar
from uuid import UUID

import orjson

from prog_broker import dead_letters as decisions
from prog_broker import replaying
from prog_contracts.errors import Denied, NotFound
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.oauth import ResendLogoutNotices
from prog_edge.api.stories import restored
from prog_edge.backend import figures, lists, topics
from prog_edge.backend.replays import replay_row, request_of
from prog_edge.backend.search import search
from prog_edge.backend.sender import Sender
from prog_edge.backend.story import story_of
from prog_edge.deciding import group_database
from prog_edge.platform import Platform
from prog_edge.sse import follow, guarded
from prog_edge.tail import Interest
from prog_edge.web.ports import (
    AdminInvoiceRow,
    AdminOverview,
    AuditRow,
    ConsumerRow,
    DeadLetterCause,
    DeadLetterRow,
    EventRow,
    ListQuery,
    MessageRow,
    Page,
    ReplayRow,
    SearchHit,
    ShardRow,
    Story,
    SubscriptionRow,
    TenantRow,
    TopicRow,
    UserRow,
    Viewer,
)
from prog_kit.database import Connection, Database
from prog_workers.events import queries as events
from prog_workers.tenants import queries as tenants

Row = TypeVar("Row")
Lister: TypeAlias = Callable[[Connection, ListQuery], Awaitable[Page[Row]]]


class Decision(Protocol):
    """What becomes of a dead letter (`prog_broker.dead_letters`)."""

    def __call__(self, group: Database, letter_id: UUID, *, by: str) -> Awaitable[None]: ...


class Admin:
    """Implements `prog_edge.web.ports.AdminBackend`. Every method checks the viewer's role itself."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def overview(self, viewer: Viewer) -> AdminOverview:
        _check(viewer)
        return await figures.overview(self._platform, datetime.now(UTC))

    async def consumers(self, viewer: Viewer) -> Sequence[ConsumerRow]:
        _check(viewer)
        async with self._platform.reader.operator() as connection:
            return await figures.consumers(connection, datetime.now(UTC))

    async def topics(self, viewer: Viewer) -> Sequence[TopicRow]:
        _check(viewer)
        async with self._platform.reader.operator() as connection:
            return await topics.rows(connection, datetime.now(UTC))

    async def topic(self, viewer: Viewer, name: str) -> tuple[TopicRow, Sequence[ShardRow]]:
        _check(viewer)
        async with self._platform.reader.operator() as connection:
            return await topics.row(connection, name, datetime.now(UTC))

    async def users(self, viewer: Viewer, query: ListQuery) -> Page[UserRow]:
        return await self._list(viewer, lists.users, query)

    async def tenants(self, viewer: Viewer, query: ListQuery) -> Page[TenantRow]:
        return await self._list(viewer, lists.tenants, query)

    async def subscriptions(self, viewer: Viewer, query: ListQuery) -> Page[SubscriptionRow]:
        return await self._list(viewer, lists.subscriptions, query)

    async def invoices(self, viewer: Viewer, query: ListQuery) -> Page[AdminInvoiceRow]:
        return await self._list(viewer, lists.invoices, query)

    async def messages(self, viewer: Viewer, query: ListQuery) -> Page[MessageRow]:
        return await self._list(viewer, lists.messages, query)

    async def events(self, viewer: Viewer, query: ListQuery) -> Page[EventRow]:
        return await self._list(viewer, lists.events, query)

    async def audit(self, viewer: Viewer, query: ListQuery) -> Page[AuditRow]:
        return await self._list(viewer, lists.audit, query)

    async def dead_letters(self, viewer: Viewer, query: ListQuery) -> Page[DeadLetterRow]:
        return await self._list(viewer, lists.dead_letters, query)

    async def follow_events(
        self, viewer: Viewer, filters: Mapping[str, str], after: int | None
    ) -> AsyncIterator[EventRow | None]:
        _check(viewer)
        interest = Interest(
            tenant_id=filters.get("tenant") or None,
            types=frozenset(lists.full_types(filters.get("type", ""))),
            domain=filters.get("domain") or None,
        )
        platform = self._platform
        names: dict[str, str] = {}
        heartbeat = platform.heartbeat_seconds

        async def still_allowed() -> bool:
            return await platform.still_signed_in(viewer.user_id, viewer.session_id, viewer.platform_role)

        found = follow(platform.tail, platform.database.operator, interest, after=after, heartbeat_seconds=heartbeat)
        seen = guarded(found, until=viewer.signed_in_until, still_allowed=still_allowed, heartbeat_seconds=heartbeat)
        async with aclosing(seen):
            async for row in seen:
                if row is not None and row.tenant_id not in names:
                    async with platform.reader.operator() as connection:
                        names.update(await tenants.names_of(connection, [row.tenant_id]))
                yield None if row is None else lists.event_row(row, names)

    async def dead_letter_causes(self, viewer: Viewer) -> Sequence[DeadLetterCause]:
        _check(viewer)
        async with self._platform.database.operator() as connection:
            groups = await events.dead_letter_groups(connection)
        return [
            DeadLetterCause(
                fingerprint=group.fingerprint,
                group=group.consumer_group,
                type=group.type or "unreadable",
                code=group.code,
                reason=group.reason,
                count=group.count,
                tenants=group.tenants,
                first_at=group.first_at,
                last_at=group.last_at,
            )
            for group in groups
        ]

    async def decide_cause(
        self, viewer: Viewer, group: str, fingerprint: str, decision: Literal["redrive", "drop"]
    ) -> tuple[int, int]:
        _check(viewer)
        replaying.check_group(group)
        decide = decisions.redrive_all if decision == "redrive" else decisions.drop_all
        async with group_database(self._platform, group) as database:
            letter_ids = await decisions.of_cause(database, group, fingerprint)
            decided = await asyncio.shield(decide(database, letter_ids, by=viewer.user_id))
        return len(decided.done), len(decided.refused)

    async def replays(self, viewer: Viewer) -> Sequence[ReplayRow]:
        _check(viewer)
        async with self._platform.database.operator() as connection:
            return [replay_row(replay) for replay in await replaying.listed(connection)]

    async def start_replay(self, viewer: Viewer, asked: Mapping[str, str]) -> None:
        _check(viewer)
        wanted = request_of(asked)
        replaying.check_group(wanted.group)
        async with group_database(self._platform, wanted.group) as database:
            await replaying.start(database, wanted, by=viewer.user_id)

    async def decide_replay(
        self, viewer: Viewer, replay_id: str, decision: Literal["pause", "resume", "cancel"]
    ) -> None:
        _check(viewer)
        try:
            identity = UUID(replay_id)
        except ValueError:
            raise NotFound("There is no such replay.") from None
        async with self._platform.database.operator() as connection:
            replay = await replaying.shown(connection, identity)
        async with group_database(self._platform, replay.group) as database:
            if decision == "pause":
                await replaying.pause(database, identity, by=viewer.user_id)
            elif decision == "resume":
                await replaying.resume(database, identity, by=viewer.user_id)
            else:
                await replaying.cancel(database, identity, by=viewer.user_id, leave_incomplete=True)

    async def resend_sign_outs(self, viewer: Viewer, *, idempotency_key: str) -> tuple[int, bool]:
        _check(viewer)
        result = await self._sender.ask(
            ResendLogoutNotices(), tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        return int(result["resent"]), bool(result["more"])

    async def redrive(self, viewer: Viewer, dead_letter_id: str, body: str | None = None) -> None:
        await self._decide(viewer, dead_letter_id, decisions.redrive, body)

    async def drop(self, viewer: Viewer, dead_letter_id: str) -> None:
        await self._decide(viewer, dead_letter_id, decisions.drop)

    async def story(self, viewer: Viewer, object_id: str) -> Story:
        _check(viewer)
        async with self._platform.reader.operator() as connection:
            found = await story_of(connection, object_id)
        if found is None:
            raise NotFound("Nothing is known of this id.")
        return found

    async def find(self, viewer: Viewer, text: str) -> Sequence[SearchHit]:
        _check(viewer)
        async with self._platform.reader.operator() as connection:
            return await search(connection, text.strip())

    async def _list(self, viewer: Viewer, listing: Lister[Row], query: ListQuery) -> Page[Row]:
        _check(viewer)
        async with self._platform.reader.operator() as connection:
            return await listing(connection, query)

    async def _decide(self, viewer: Viewer, dead_letter_id: str, decision: Decision, body: str | None = None) -> None:
        """A decision is taken in the letter's consumer group, whose role alone may touch its rows."""
        _check(viewer)
        try:
            letter_id = UUID(dead_letter_id)
        except ValueError:
            raise NotFound("There is no such dead letter.") from None
        async with self._platform.database.operator() as connection:
            letter = await events.dead_letter(connection, letter_id)
        if letter is None:
            raise NotFound("There is no such dead letter.")
        url = self._platform.settings.database_url
        group = await Database.connect(url, f"prog_{letter.consumer_group}", min_size=0, max_size=1)
        if body is not None:
            decision = partial(decisions.redrive, body=_mended(body, letter))
        try:
            await asyncio.shield(decision(group, letter_id, by=viewer.user_id))
        finally:
            await group.close()


def _check(viewer: Viewer) -> None:
    if not viewer.is_operator:
        raise Denied("The admin console is for operators of this platform.")


def _mended(body: str, letter: events.DeadLetter) -> bytes:
    """What was typed, with the sealed values that the page did not show. What is no object is refused further down."""
    try:
        typed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.encode()
    return orjson.dumps(restored(typed, letter.body)) if isinstance(typed, dict) else body.encode()
