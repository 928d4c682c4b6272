"""Behind the buttons of other identity providers, and the linked accounts of the security page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from prog_contracts.accounts import AccountToProve
from prog_contracts.errors import Denied, NotFound
from prog_contracts.identities import LinkIdentity, ProvenIdentity, UnlinkIdentity
from prog_contracts.ids import PLATFORM_TENANT_ID, is_id
from prog_contracts.inputs import normalize_email
from prog_edge.backend.sender import Sender
from prog_edge.backend.sessions import entered
from prog_edge.context import current_context
from prog_edge.federation import CALLBACK, LIFETIME_SECONDS
from prog_edge.limits.attempts import claim_of_address
from prog_edge.platform import Platform
from prog_edge.sessions import MAX_AGE_SECONDS
from prog_edge.web.ports import Client, SecondStep, SessionCookie, Viewer
from prog_edge.web.ports.identities import Arrival, Departure, IdentityCard, ProviderCard, Purpose, ToProve, WayBack
from prog_kit.secrets import IDENTITY
from prog_workers.tenants import queries as tenants
from prog_workers.tenants.queries.sign_on import own_sign_on
from prog_workers.users import queries

_ANSWER: Final = ("code", "state", "iss", "error")
"""What of a provider's answer counts (RFC 6749, RFC 9207)."""
_TOO_LATE: Final = "This sign-in took too long. Begin again."


class Identities:
    """Implements `prog_edge.web.ports.identities.IdentitiesBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._federation = platform.federation
        self._sender = sender

    @property
    def cookie_name(self) -> str:
        return self._federation.cookie_name

    @property
    def providers(self) -> Sequence[ProviderCard]:
        return [ProviderCard(each.name, each.title, each.kind) for each in self._federation.providers.values()]

    async def organisation(self, email: str) -> ProviderCard | None:
        domain = normalize_email(email).rpartition("@")[2]
        async with self._platform.database.operator() as connection:
            found = await tenants.sign_on_tenant(connection, domain)
        return None if found is None else ProviderCard(found[0], found[1], "sign_on")

    async def own_provider(self, tenant_id: str) -> ProviderCard | None:
        async with self._platform.reader.scope(tenant_id=tenant_id) as connection:
            title = await own_sign_on(connection, tenant_id)
        return None if title is None else ProviderCard(tenant_id, title, "sign_on")

    async def linkable(self, viewer: Viewer) -> Sequence[ProviderCard]:
        own = await self.organisation(viewer.email)
        return [*self.providers, *([] if own is None else [own])]

    async def linked(self, viewer: Viewer) -> Sequence[IdentityCard]:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            rows = await queries.identities(connection, viewer.user_id)
        return [
            IdentityCard(row.identity_id, row.provider, row.title, row.email, row.linked_at, row.last_used_at)
            for row in rows
        ]

    async def has_password(self, viewer: Viewer) -> bool:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            return await queries.has_password(connection, viewer.user_id)

    async def depart(
        self, provider: str, purpose: Purpose, next_address: str, viewer: Viewer | None, hint: str | None = None
    ) -> Departure:
        who = None if purpose == "sign_in" else viewer
        begun = await self._federation.begin(
            provider,
            purpose,
            next_address,
            user_id=None if who is None else who.user_id,
            session_id=None if who is None else who.session_id,
            hint=hint,
            before_asking=self._count_as_strict,
        )
        return Departure(begun.url, SessionCookie(begun.cookie, LIFETIME_SECONDS))

    async def way_back(self, provider: str, answer: Mapping[str, str]) -> WayBack | None:
        whence = self._federation.whence(provider, answer.get("state", ""))
        if whence is None:
            return None
        query = {name: text for name in _ANSWER if (text := answer.get(name)) is not None}
        path = CALLBACK.format(provider=provider)
        address = await self._platform.handover.address_at(whence.tenant_id, whence.host, path, query)
        known = self._federation.providers.get(provider)
        title = "Your organisation" if known is None else known.title
        return WayBack(address, whence.tenant_id, whence.host, title, is_own=provider == whence.tenant_id)

    def aim(self, cookie: str) -> tuple[Purpose, str] | None:
        pending = self._federation.begun(cookie)
        return None if pending is None else (pending.purpose, pending.next_address)

    async def arrive(
        self, provider: str, cookie: str, answer: Mapping[str, str], viewer: Viewer | None, client: Client
    ) -> Arrival:
        finished = await self._federation.finish(provider, cookie, answer)
        pending, identity = finished.pending, finished.identity
        arrival = Arrival(identity.title, pending.purpose, pending.next_address)
        if pending.purpose == "sign_in":
            return await self._signed_in(arrival, identity, client)
        if viewer is None or (viewer.user_id, viewer.session_id) != (pending.user_id, pending.session_id):
            raise Denied("Your session has ended meanwhile. Sign in, and begin again.", code="other_session")
        if pending.purpose == "link":
            await self._link(viewer, identity, client)
            return arrival
        return await self._stepped_up(arrival, viewer, identity, client)

    def to_prove(self, cookie: str) -> ToProve | None:
        identity = self._federation.kept(cookie)
        return None if identity is None or not identity.emails else ToProve(identity.title, identity.emails[0])

    async def prove(self, cookie: str, password: str, client: Client) -> SessionCookie | SecondStep:
        identity = self._federation.kept(cookie)
        if identity is None or not identity.emails:
            raise Denied(_TOO_LATE, code="sign_in_over")
        email = identity.emails[0]
        claim = claim_of_address(self._platform.sealer, email)
        async with self._platform.attempts.attempt(claim, client.address) as attempt:
            found = await self._platform.sessions.sign_in_and_link(
                email, password, identity, client.address, client.user_agent
            )
            attempt.outcome = "right"
        return entered(found)

    async def unlink(self, viewer: Viewer, identity_id: str, *, client: Client) -> None:
        if not (is_id(identity_id) and identity_id.startswith("identity_")):
            raise NotFound("There is no such linked account.", code="identity_not_found")
        command = UnlinkIdentity(
            user_id=viewer.user_id,
            by_session_id=viewer.session_id,
            identity_id=identity_id,
            client_address=client.address,
        )
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id)

    async def _count_as_strict(self) -> None:
        context = current_context()
        assert context is not None, "people depart by a request"
        await self._platform.rates.spend_as("auth", context)

    async def _signed_in(self, arrival: Arrival, identity: ProvenIdentity, client: Client) -> Arrival:
        found = await self._platform.sessions.sign_in_with_identity(identity, client.address, client.user_agent)
        if isinstance(found, AccountToProve):
            kept = SessionCookie(self._federation.keep(identity), LIFETIME_SECONDS)
            return replace(arrival, to_prove=kept)
        return replace(arrival, entered=entered(found))

    async def _link(self, viewer: Viewer, identity: ProvenIdentity, client: Client) -> None:
        command = LinkIdentity(
            user_id=viewer.user_id,
            by_session_id=viewer.session_id,
            sealed_identity=self._platform.sealer.seal(identity.model_dump_json(), IDENTITY),
            client_address=client.address,
        )
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id)

    async def _stepped_up(self, arrival: Arrival, viewer: Viewer, identity: ProvenIdentity, client: Client) -> Arrival:
        value = await self._platform.sessions.step_up_with_identity(
            viewer.user_id, viewer.session_id, identity, client.address, client.user_agent
        )
        return replace(arrival, entered=SessionCookie(value, MAX_AGE_SECONDS))
