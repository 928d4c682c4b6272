"""Behind the pages on which people sign in to clients, and see what they let them know."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

from prog_contracts.errors import NotFound, ProgError
from prog_contracts.oauth import AuthorizeClient, DeclineClient, RevokeConsent
from prog_edge.backend.sender import Sender
from prog_edge.oauth.asking import OAuthError
from prog_edge.oauth.logout import read_logout
from prog_edge.oauth.metadata import AUTHORIZE
from prog_edge.oauth.requests import (
    ASKED_SINCE,
    AuthorizationRequest,
    Misdirected,
    Place,
    find_place,
    origin_of,
    read_query,
    read_request,
)
from prog_edge.platform import Platform
from prog_edge.web.ports import Answered, AppCard, ConsentView, LogoutView, SignInFirst, StillWorking, Viewer
from prog_kit.secrets import SealError
from prog_workers.tenants import queries as tenants
from prog_workers.users.queries import clients as queries

ASKED_PURPOSE: Final = "asked_since"
ASKED_SECONDS: Final = 900.0
"""A sign-in that was asked for counts for the request that asked for it, for so long."""

Step = Answered | ConsentView | SignInFirst


class Provider:
    """Implements `prog_edge.web.ports.ProviderBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender
        self._issuer = platform.settings.public_url.rstrip("/")

    async def decide(self, viewer: Viewer | None, query: str) -> Step:
        return await self._step(viewer, query, agrees=None, idempotency_key=None)

    async def answer(self, viewer: Viewer, query: str, *, agrees: bool, idempotency_key: str) -> Step:
        return await self._step(viewer, query, agrees=agrees, idempotency_key=idempotency_key)

    async def origin_after(self, address: str) -> str | None:
        parts = urlsplit(address)
        if parts.path != AUTHORIZE:
            return None
        try:
            return (await find_place(self._platform, read_query(parts.query))).origin
        except Misdirected:
            return None

    async def logout(self, viewer: Viewer | None, query: str) -> LogoutView:
        asked = await read_logout(self._platform, read_query(query))
        parts = urlsplit(asked.back or "")
        return LogoutView(
            client=None if asked.client is None else asked.client.name,
            back=asked.back,
            host=parts.hostname or parts.scheme or None,
            origin=None if asked.back is None else origin_of(asked.back),
            certain=asked.hint is not None
            and viewer is not None
            and (asked.hint.user_id, asked.hint.session_id) == (viewer.user_id, viewer.session_id),
            request=query,
        )

    async def apps(self, viewer: Viewer) -> Sequence[AppCard]:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            rows = await queries.consents(connection, viewer.user_id)
        return [AppCard(row.client_id, row.client_name, row.scopes, row.given_at, row.last_used_at) for row in rows]

    async def disconnect(self, viewer: Viewer, client_id: str, *, idempotency_key: str) -> str:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            rows = await queries.consents(connection, viewer.user_id)
        row = next((row for row in rows if row.client_id == client_id), None)
        if row is None:
            raise NotFound("This app has nothing of you.", code="consent_not_found")
        command = RevokeConsent(client_id=row.client_id, user_id=viewer.user_id)
        await self._sender.ask(
            command, tenant_id=row.client_tenant, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        return row.client_name

    async def _step(
        self, viewer: Viewer | None, query: str, *, agrees: bool | None, idempotency_key: str | None
    ) -> Step:
        """What comes next. `agrees` is what the person has just said; None where nobody was asked yet."""
        parameters = read_query(query)
        place = await find_place(self._platform, parameters)
        try:
            asked = read_request(place, parameters)
            await self._require_open(place)
            if agrees is False:
                if viewer is not None:
                    await self._decline(viewer, asked, idempotency_key)
                raise OAuthError("access_denied", "The person did not agree.")
            proven_at = None if viewer is None else await self._proven_at(viewer)
            if viewer is None or proven_at is None:
                if "none" in asked.prompt:
                    raise OAuthError("login_required", "Nobody is signed in.")
                return SignInFirst(self._come_back(place, query), again=False)
            if self._is_stale(asked, proven_at, parameters.get(ASKED_SINCE)):
                if "none" in asked.prompt:
                    raise OAuthError("login_required", "The sign-in was too long ago.")
                return SignInFirst(self._come_back(place, query), again=True)
            async with self._platform.database.scope(user_id=viewer.user_id) as connection:
                given = await queries.consent(connection, viewer.user_id, place.client.client_id)
            wished = bool(asked.prompt & {"consent", "select_account"})
            asks = wished or not place.is_assured or not set(asked.scopes) <= set(given)
            if asks and agrees is None:
                if "none" in asked.prompt:
                    raise OAuthError("consent_required", "The person has not agreed to this yet.")
                return await self._consent(asked, given, query)
            code = await self._authorize(viewer, asked, consents=agrees is True, idempotency_key=idempotency_key)
        except OAuthError as error:
            return Answered(place.answer(self._issuer, error=error.error, error_description=error.description))
        return Answered(place.answer(self._issuer, code=code))

    async def _decline(self, viewer: Viewer, asked: AuthorizationRequest, idempotency_key: str | None) -> None:
        """Has it written down. Whoever declines goes back all the same where that cannot be."""
        command = DeclineClient(
            client_id=asked.place.client.client_id,
            user_id=viewer.user_id,
            by_session_id=viewer.session_id,
            scopes=asked.scopes,
        )
        tenant_id = asked.place.client.tenant_id
        with suppress(ProgError, StillWorking):
            await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)

    async def _authorize(
        self, viewer: Viewer, asked: AuthorizationRequest, *, consents: bool, idempotency_key: str | None
    ) -> str:
        client = asked.place.client
        command = AuthorizeClient(
            client_id=client.client_id,
            user_id=viewer.user_id,
            by_session_id=viewer.session_id,
            redirect_uri=asked.place.redirect_uri,
            scopes=asked.scopes,
            code_challenge=asked.code_challenge,
            nonce=asked.nonce,
            consents=consents,
        )
        result = await self._sender.ask(
            command, tenant_id=client.tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        code: str = result["code"]
        return code

    async def _proven_at(self, viewer: Viewer) -> datetime | None:
        """When the viewer has signed in, by the session's own record."""
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            return await queries.session_proof(connection, viewer.session_id, viewer.user_id, datetime.now(UTC))

    def _is_stale(self, asked: AuthorizationRequest, proven_at: datetime, asked_since: str | None) -> bool:
        """Whether the person has to sign in again, and has not done so since this request asked for it."""
        age = (datetime.now(UTC) - proven_at).total_seconds()
        too_old = asked.max_age_seconds is not None and age > asked.max_age_seconds
        if not too_old and "login" not in asked.prompt:
            return False
        if asked_since is None:
            return True
        try:
            since, _, client_id = self._platform.sealer.open(asked_since, ASKED_PURPOSE).partition(" ")
        except SealError:
            return True
        asked_at = float(since)
        fresh = datetime.now(UTC).timestamp() - asked_at <= ASKED_SECONDS
        return not (fresh and client_id == asked.place.client.client_id and proven_at.timestamp() >= asked_at)

    def _come_back(self, place: Place, query: str) -> str:
        """The same request again, which knows that it has asked for a sign-in."""
        since = f"{datetime.now(UTC).timestamp()} {place.client.client_id}"
        kept = [(name, value) for name, value in parse_qsl(query, keep_blank_values=True) if name != ASKED_SINCE]
        kept.append((ASKED_SINCE, self._platform.sealer.seal(since, ASKED_PURPOSE)))
        return f"{AUTHORIZE}?{urlencode(kept)}"

    async def _consent(self, asked: AuthorizationRequest, given: Sequence[str], query: str) -> ConsentView:
        client = asked.place.client
        async with self._platform.database.scope(tenant_id=client.tenant_id) as connection:
            tenant = await tenants.tenant(connection, client.tenant_id)
        parts = urlsplit(asked.place.redirect_uri)
        return ConsentView(
            client=client.name,
            tenant="" if tenant is None else tenant.name,
            host=parts.hostname or parts.scheme,
            origin=asked.place.origin,
            scopes=asked.scopes,
            known=given,
            request=query,
        )

    async def _require_open(self, place: Place) -> None:
        """Nobody signs in to a client of a tenant that is suspended or being deleted."""
        try:
            await self._platform.require_open(place.client.tenant_id, "client.manage")
        except ProgError as error:
            raise OAuthError("unauthorized_client", error.message) from error
