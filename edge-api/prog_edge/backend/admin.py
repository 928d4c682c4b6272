"""Behind the admin console: reads across tenants as the platform's operator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Protocol, TypeAlias, TypeVar
from uuid import UUID

from prog_broker import dead_letters as decisions
from prog_contracts.errors import Denied, NotFound
from prog_edge.backend import figures, lists
from prog_edge.backend.search import search
from prog_edge.backend.story import story_of
from prog_edge.platform import Platform
from prog_edge.sse import follow, guarded
from prog_edge.tail import Interest
from prog_edge.web.ports import (
    AdminInvoiceRow,
    AdminOverview,
    ConsumerRow,
    DeadLetterRow,
    EventRow,
    ListQuery,
    MessageRow,
    Page,
    SearchHit,
    Story,
    SubscriptionRow,
    TenantRow,
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

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def overview(self, viewer: Viewer) -> AdminOverview:
        _check(viewer)
        return await figures.overview(self._platform, datetime.now(UTC))

    async def consumers(self, viewer: Viewer) -> Sequence[ConsumerRow]:
        _check(viewer)
        async with self._platform.reader.operator() as connection:
            return await figures.consumers(connection, datetime.now(UTC))

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

    async def redrive(self, viewer: Viewer, dead_letter_id: str) -> None:
        await self._decide(viewer, dead_letter_id, decisions.redrive)

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

    async def _decide(self, viewer: Viewer, dead_letter_id: str, decision: Decision) -> None:
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
        try:
            await asyncio.shield(decision(group, letter_id, by=viewer.user_id))
        finally:
            await group.close()


def _check(viewer: Viewer) -> None:
    if not viewer.is_operator:
        raise Denied("The admin console is for operators of this platform.")
