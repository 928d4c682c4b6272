"""All that there is of a person, as a zip of JSON lines, made while it is sent.

No file is kept anywhere, so none lies about that somebody could find. Each part is read a page at a time, in a
transaction of its own, so that neither memory nor a slow reader's transaction grows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from uuid import UUID

from prog_contracts.errors import Conflict
from prog_edge.activity import act_of
from prog_edge.archives import ArchiveResponse, Content, line_of, once
from prog_edge.platform import Platform
from prog_kit.database import Connection
from prog_kit.pages import MAX_LIMIT
from prog_workers.email import queries as mails
from prog_workers.events import queries as events
from prog_workers.tenants import queries as tenants
from prog_workers.users import queries as users
from prog_workers.users.queries import api_keys, impersonations, profiles

MIB: Final = 1 << 20
FILENAME: Final = "prognetwork-data.zip"
README: Final = """What ProgNetwork has of you. Each file has one JSON object a line; times are UTC.

account        your account, with what you prefer; picture.webp is what you are shown by, if you have one
sessions       where you signed in; what ended is kept for 30 days
second-factor  your authenticator app and how many recovery codes are left; neither secret nor codes can be read
identities     what you sign in with at other providers
memberships    your tenants and your role in each
invitations    those to you, and those that you sent
api-keys       keys that you made; the keys themselves are nowhere
mails          mails to you, without their text, which is not kept
leads          what you left on our site
activity       what you did, and what was done to you
support        when our support acted in your name, and why

What belongs to a tenant is not in here: its invoices, events and settings are its own.
"""

Page = Callable[[str | None], Awaitable[tuple[Sequence[Any], str | None]]]


async def require_room(platform: Platform, user_id: str) -> None:
    """Refuses an export that would be larger than the settings allow, before anything of it is sent: who is given half
    a file does not see it. All is read for it, a page at a time, and no more than is allowed.

    Raises Conflict with code `export_too_large`, or `exported_just_now` while it is being read.
    """
    limit_mib = platform.settings.person_export_mib
    if limit_mib:
        limit_bytes = limit_mib * MIB
        fits = await platform.export_room.fits(user_id, limit_bytes, lambda: _fits(platform, user_id, limit_bytes))
        if not fits:
            detail = f"What we have of you is more than the {limit_mib} MiB that a file may have here."
            raise Conflict(f"{detail} Ask whoever runs this platform to allow more.", code="export_too_large")


async def _fits(platform: Platform, user_id: str, limit_bytes: int) -> bool:
    size = 0
    async for _, content in _files(platform, user_id):
        async for lines in content():
            size += len(lines)
            if size > limit_bytes:
                return False
    return True


class ExportResponse(ArchiveResponse):
    """The file. Nothing keeps it on its way."""

    def __init__(self, platform: Platform, user_id: str) -> None:
        super().__init__(FILENAME, _files(platform, user_id))


async def _files(platform: Platform, user_id: str) -> AsyncIterator[tuple[str, Content]]:
    yield "README.txt", once(README)
    picture = await _picture(platform, user_id)
    if picture is not None:
        yield "picture.webp", once(picture)
    for name, page in _Parts(platform, user_id).all().items():
        yield f"{name}.jsonl", _lines(page)


def _lines(page: Page) -> Content:
    async def lines() -> AsyncIterator[bytes]:
        rows, cursor = await page(None)
        yield b"".join(line_of(row, _plain) for row in rows)
        while cursor is not None:
            rows, cursor = await page(cursor)
            yield b"".join(line_of(row, _plain) for row in rows)

    return lines


async def _picture(platform: Platform, user_id: str) -> bytes | None:
    async with platform.database.scope(user_id=user_id) as connection:
        row = await users.user(connection, user_id)
        if row is None or row.avatar_id is None:
            return None
        return await profiles.avatar(connection, user_id, row.avatar_id)


def _plain(value: object) -> object:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, UUID):  # of the database's driver: a class of its own, which orjson does not know
        return str(value)
    raise TypeError(f"{type(value).__name__} is no JSON")


class _Parts:
    """What there is of one person, each kind a page at a time, with rights no wider than that kind needs."""

    def __init__(self, platform: Platform, user_id: str) -> None:
        self._platform = platform
        self._user_id = user_id

    def all(self) -> Mapping[str, Page]:
        """By the names that README tells of."""
        return {
            "account": self._account,
            "sessions": self._sessions,
            "second-factor": self._second_factor,
            "identities": self._identities,
            "memberships": self._memberships,
            "invitations": self._invitations,
            "api-keys": self._api_keys,
            "mails": self._mails,
            "leads": self._leads,
            "activity": self._activity,
            "support": self._support,
        }

    def _own(self) -> AbstractAsyncContextManager[Connection]:
        return self._platform.database.scope(user_id=self._user_id)

    async def _email(self) -> str:
        return (await self._platform.person(self._user_id)).email

    async def _account(self, _: str | None) -> tuple[Sequence[Any], None]:
        async with self._own() as connection:
            row = await users.user(connection, self._user_id)
        return [] if row is None else [row], None

    async def _sessions(self, cursor: str | None) -> tuple[Sequence[Any], str | None]:
        async with self._own() as connection:
            page = await users.session_history(connection, self._user_id, cursor=cursor)
        return page.rows, page.next_cursor

    async def _second_factor(self, _: str | None) -> tuple[Sequence[Any], None]:
        async with self._own() as connection:
            row = await users.second_factor(connection, self._user_id)
        return [] if row is None else [row], None

    async def _identities(self, _: str | None) -> tuple[Sequence[Any], None]:
        async with self._own() as connection:
            return await users.identities(connection, self._user_id), None

    async def _memberships(self, cursor: str | None) -> tuple[Sequence[Any], str | None]:
        async with self._own() as connection:
            page = await tenants.tenants_of(connection, self._user_id, limit=MAX_LIMIT, cursor=cursor)
        return page.rows, page.next_cursor

    async def _invitations(self, _: str | None) -> tuple[Sequence[Any], None]:
        email = await self._email()
        async with self._platform.reader.operator() as connection:
            return await tenants.invitations_naming(connection, self._user_id, email), None

    async def _api_keys(self, _: str | None) -> tuple[Sequence[Any], None]:
        async with self._platform.reader.operator() as connection:
            return await api_keys.api_keys_made_by(connection, self._user_id), None

    async def _mails(self, cursor: str | None) -> tuple[Sequence[Any], str | None]:
        email = await self._email()
        async with self._platform.reader.operator() as connection:
            page = await mails.mails(connection, recipient=email, cursor=cursor, limit=MAX_LIMIT)
        return page.rows, page.next_cursor

    async def _leads(self, _: str | None) -> tuple[Sequence[Any], None]:
        email = await self._email()
        async with self._platform.reader.operator() as connection:
            return await mails.leads_of(connection, email), None

    async def _activity(self, cursor: str | None) -> tuple[Sequence[Any], str | None]:
        async with self._own() as connection:
            page = await events.activity(connection, self._user_id, limit=MAX_LIMIT, cursor=cursor)
        return [act_of(row, self._user_id) for row in page.rows], page.next_cursor

    async def _support(self, _: str | None) -> tuple[Sequence[Any], None]:
        async with self._own() as connection:
            return await impersonations.own_impersonations(connection, self._user_id), None
