"""Behind the pages: operators who act in somebody's name (infra/adr/0029-impersonation.md)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from prog_contracts.accounts import ImpersonationToken
from prog_contracts.errors import Denied, Invalid, NotFound
from prog_contracts.ids import PLATFORM_TENANT_ID, is_id, new_id
from prog_contracts.impersonation import MINUTES_MAX, BeginImpersonation, EndImpersonation
from prog_contracts.profiles import avatar_path
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.sessions import MAX_COOKIE_BYTES
from prog_edge.web.ports import Acting, ImpersonationRow, ListQuery, Page, SessionCookie, Viewer
from prog_kit.secrets import IMPERSONATION, SealError
from prog_workers.users.queries import impersonations as queries

_ACTIVE: Final = {"active": True, "over": False}


class Impersonations:
    """Implements `prog_edge.web.ports.ImpersonationsBackend`. The cookie holds the token, sealed."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    @property
    def cookie_name(self) -> str:
        secure = self._platform.settings.public_url.startswith("https://")
        return "__Host-prog_impersonation" if secure else "prog_impersonation"

    async def open(self, cookie: str, operator: Viewer) -> Viewer | None:
        if len(cookie) > MAX_COOKIE_BYTES or not operator.is_operator:
            return None
        try:
            claims = await self._platform.tokens.verify(self._platform.sealer.open(cookie, IMPERSONATION))
        except (SealError, Denied):
            return None
        if claims.operator_id != operator.user_id:
            return None
        live = await self._platform.impersonation(claims.session_id)
        if live is None or (live.user_id, live.operator_id) != (claims.user_id, claims.operator_id):
            return None
        if live.by_session_id != operator.session_id:
            return None
        person = await self._platform.person(claims.user_id)
        return replace(
            operator,
            user_id=person.user_id,
            email=person.email,
            name=person.name,
            session_id=live.impersonation_id,
            platform_role=None,
            signed_in_until=min(claims.expires_at, operator.signed_in_until),
            erase_at=person.erase_at,
            time_zone=person.time_zone,
            picture=None if person.avatar_id is None else avatar_path(person.user_id, person.avatar_id),
            acting=Acting(live.impersonation_id, operator.user_id, live.reason, live.expires_at),
        )

    async def begin(
        self, viewer: Viewer, user_id: str, *, reason: str, minutes: str, idempotency_key: str
    ) -> SessionCookie:
        _check(viewer)
        if not (is_id(user_id) and user_id.startswith("user_")):
            raise NotFound("There is no such user.", code="user_not_found")
        command = BeginImpersonation(
            impersonation_id=new_id("impersonation"),
            user_id=user_id,
            by_session_id=viewer.session_id,
            reason=reason,
            minutes=minutes_of(minutes),
        )
        result = await self._sender.ask(
            command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        given = ImpersonationToken.model_validate(result)
        value = self._platform.sealer.seal(given.access_token, IMPERSONATION)
        return SessionCookie(value, int((given.expires_at - given.began_at).total_seconds()))

    async def end(self, viewer: Viewer, impersonation_id: str) -> None:
        operator_id = viewer.user_id
        if viewer.acting is not None and viewer.acting.impersonation_id == impersonation_id:
            operator_id = viewer.acting.operator_id
        else:
            _check(viewer)
        if not (is_id(impersonation_id) and impersonation_id.startswith("impersonation_")):
            raise NotFound("There is no such impersonation.", code="impersonation_not_found")
        command = EndImpersonation(impersonation_id=impersonation_id)
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=operator_id)
        self._platform.live_impersonations.forget(impersonation_id)

    async def listed(self, viewer: Viewer, query: ListQuery) -> Page[ImpersonationRow]:
        _check(viewer)
        now = datetime.now(UTC)
        async with self._platform.database.operator() as connection:
            page = await queries.list_impersonations(
                connection,
                now,
                concerning=query.search or None,
                active=_ACTIVE.get(query.filters.get("state", "")),
                limit=query.limit,
                cursor=query.cursor,
            )
        rows = [
            ImpersonationRow(
                id=row.impersonation_id,
                user_id=row.user_id,
                user_name=row.user_name,
                operator_id=row.operator_id,
                operator_name=row.operator_name,
                reason=row.reason,
                began_at=row.began_at,
                expires_at=row.expires_at,
                over_at=row.over_at(now),
                end=row.end(now),
            )
            for row in page.rows
        ]
        return Page(rows, page.next_cursor)


def _check(viewer: Viewer) -> None:
    if not viewer.is_operator:
        raise Denied("This is for the platform's operators.")


def minutes_of(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MINUTES_MAX:
        return int(text)
    raise Invalid.field("minutes", "out_of_range", f"Choose 1 to {MINUTES_MAX} minutes.")
