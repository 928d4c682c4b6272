"""The way through another provider: begun with an address to go to, finished with an identity that is proven.

Providers are those of the settings, by their names, and tenants' own, by the tenants' ids. What a tenant names is asked
as a stranger's server: at public addresses and with TLS alone, where the platform is in production.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from prog_contracts.errors import NotFound
from prog_contracts.identities import EMAILS_MAX, ProvenIdentity
from prog_contracts.inputs import NAME_MAX_LENGTH
from prog_edge import texts
from prog_edge.context import current_site
from prog_edge.federation import pending as kept
from prog_edge.federation.discovery import Directory
from prog_edge.federation.errors import Untrusted
from prog_edge.federation.github import GitHub
from prog_edge.federation.openid import OpenIdProvider
from prog_edge.federation.pending import Pending, Purpose, Whence
from prog_kit.identity_providers import IdentityProvider
from prog_kit.outbound import Outbound, Unreachable
from prog_kit.secrets import Sealer

CALLBACK: Final = "/v1/auth/oauth/{provider}/callback"
MAX_CODE_LENGTH: Final = 4096


@dataclass(frozen=True, slots=True)
class SignOnProvider:
    """A tenant's own provider. It speaks for addresses of `domains` alone."""

    tenant_id: str
    title: str
    issuer: str
    client_id: str
    client_secret: str
    domains: frozenset[str]


SignOn = Callable[[str], Awaitable[SignOnProvider | None]]
"""The provider of a tenant; None where it has none."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and what it keeps meanwhile."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True)
class Finished:
    """What was begun, and who it has turned out to be."""

    pending: Pending
    identity: ProvenIdentity


@dataclass(frozen=True, slots=True)
class _Found:
    """What the protocols told, before it is an identity."""

    issuer: str
    subject: str
    emails: tuple[str, ...]
    name: Any


class Federation:
    """One a process; `close` it. `outbound` asks the settings' providers, `strict` those that tenants name."""

    def __init__(
        self,
        providers: Sequence[IdentityProvider],
        sealer: Sealer,
        public_url: str,
        outbound: Outbound,
        strict: Outbound,
        sign_on: SignOn,
    ) -> None:
        self.providers: Final = {provider.name: provider for provider in providers}
        self._sealer = sealer
        self._outbound = outbound
        self._strict = strict
        self._sign_on = sign_on
        self._probing: set[str] = set()
        self.directory: Final = Directory(outbound)
        self.tenants_directory: Final = Directory(strict)
        self._public_url = public_url.rstrip("/")
        self.cookie_name: Final = "__Host-prog_federation" if public_url.startswith("https://") else "prog_federation"

    async def close(self) -> None:
        await self._outbound.close()
        await self._strict.close()

    async def probe(self, tenant_id: str, issuer: str) -> None:
        """Looks whether a provider that a tenant names is one, for a tenant one at a time. Raises Unreachable."""
        if tenant_id in self._probing:
            raise Unreachable("The identity provider that was named before is being asked. Wait until that is done.")
        self._probing.add(tenant_id)
        try:
            self.tenants_directory.forget(issuer)
            metadata = await self.tenants_directory.metadata(issuer)
            await self.tenants_directory.keys(metadata)
        finally:
            self._probing.discard(tenant_id)

    async def begin(
        self,
        name: str,
        purpose: Purpose,
        next_address: str,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
        hint: str | None = None,
        before_asking: Callable[[], Awaitable[None]] | None = None,
    ) -> Begun:
        """`hint` is the address of whoever is to sign in there; `before_asking` has its say before a provider is asked
        for what is not known of it.

        Raises NotFound for a provider that is not there, Unreachable for one that does not answer.
        """
        now, site = datetime.now(UTC), current_site()
        begun = Pending.begin(
            name,
            purpose,
            next_address,
            now,
            user_id=user_id,
            session_id=session_id,
            state=None if site is None else kept.state_at(self._sealer, name, site, now),
        )
        provider, sign_on = await self._provider(name)
        if before_asking is not None and self._has_to_ask(provider, sign_on):
            await before_asking()
        if sign_on is not None:
            url = await self._tenants(sign_on).authorization_url(begun, hint)
        elif provider.kind == "github":
            url = self._github(provider).authorization_url(begun)
        else:
            url = await self._openid(provider).authorization_url(begun, hint)
        return Begun(url, kept.sealed(self._sealer, begun))

    def whence(self, name: str, state: str) -> Whence | None:
        """The tenant's host at which the sign-in was begun that a provider's answer is to; None for one of this host.

        Raises Untrusted for an answer of another provider, or one that is too late.
        """
        found = kept.whence(self._sealer, state)
        if found is not None and not found.is_answered_by(name, datetime.now(UTC)):
            raise Untrusted("not_begun")
        return found

    def only_hands_on(self, name: str, state: str) -> bool:
        """Whether an answer that comes to the platform's host is another host's: nothing is asked or tried with it."""
        try:
            return current_site() is None and self.whence(name, state) is not None
        except Untrusted:
            return False

    async def finish(self, name: str, cookie: str, answer: Mapping[str, str]) -> Finished:
        """Who came back, by the query of the provider's answer and the browser's cookie.

        Raises Untrusted for an answer that is not good, and Unreachable.
        """
        now = datetime.now(UTC)
        begun = kept.opened(self._sealer, cookie)
        if begun is None or not begun.is_answered_by(name, answer.get("state", ""), now):
            raise Untrusted("not_begun")
        provider, sign_on = await self._provider(name)
        code = answer.get("code", "")
        if "error" in answer:
            raise Untrusted("canceled" if answer["error"] == "access_denied" else "provider_error")
        if not 0 < len(code) <= MAX_CODE_LENGTH:
            raise Untrusted("code_refused")
        if sign_on is not None:
            found = await self._claimed(self._tenants(sign_on), begun, code, answer.get("iss"), now)
        elif provider.kind == "github":
            account = await self._github(provider).account(begun, code, answer.get("iss"))
            found = _Found(provider.issuer, account.subject, account.emails, account.name)
        else:
            found = await self._claimed(self._openid(provider), begun, code, answer.get("iss"), now)
        return Finished(begun, _identity(provider, sign_on, found, now))

    def keep(self, identity: ProvenIdentity) -> str:
        """The cookie's value for an identity that waits for its person to prove an account."""
        return kept.sealed(self._sealer, identity)

    def kept(self, cookie: str) -> ProvenIdentity | None:
        return kept.opened_identity(self._sealer, cookie)

    def begun(self, cookie: str) -> Pending | None:
        return kept.opened(self._sealer, cookie)

    async def _provider(self, name: str) -> tuple[IdentityProvider, SignOnProvider | None]:
        provider = self.providers.get(name)
        if provider is not None:
            return provider, None
        sign_on = await self._sign_on(name)
        if sign_on is None:
            raise NotFound("There is no such identity provider.")
        return (
            IdentityProvider.model_construct(
                kind="oidc",
                name=name,
                title=sign_on.title,
                issuer=sign_on.issuer,
                client_id=sign_on.client_id,
                client_secret=sign_on.client_secret,
            ),
            sign_on,
        )

    def _has_to_ask(self, provider: IdentityProvider, sign_on: SignOnProvider | None) -> bool:
        directory = self.directory if sign_on is None else self.tenants_directory
        return provider.kind != "github" and not directory.knows(provider.issuer)

    async def _claimed(
        self, client: OpenIdProvider, begun: Pending, code: str, told_issuer: str | None, now: datetime
    ) -> _Found:
        claims = await client.claims(begun, code, told_issuer, now.timestamp())
        return _Found(claims["iss"], claims["sub"], client.emails(claims), claims.get("name"))

    def _github(self, provider: IdentityProvider) -> GitHub:
        return GitHub(self._outbound, provider, self._redirect_uri(provider.name))

    def _openid(self, provider: IdentityProvider) -> OpenIdProvider:
        return OpenIdProvider(
            self._outbound,
            self.directory,
            issuer=provider.issuer,
            client_id=provider.client_id,
            client_secret=provider.client_secret,
            redirect_uri=self._redirect_uri(provider.name),
            vouching="microsoft" if provider.kind == "microsoft" else "claim",
            asks_again=provider.kind != "google",
        )

    def _tenants(self, sign_on: SignOnProvider) -> OpenIdProvider:
        return OpenIdProvider(
            self._strict,
            self.tenants_directory,
            issuer=sign_on.issuer,
            client_id=sign_on.client_id,
            client_secret=sign_on.client_secret,
            redirect_uri=self._redirect_uri(sign_on.tenant_id),
            vouching="domain",
        )

    def _redirect_uri(self, name: str) -> str:
        """One for each provider, so that no answer of one passes for another's."""
        return self._public_url + CALLBACK.format(provider=name)


def _identity(
    provider: IdentityProvider, sign_on: SignOnProvider | None, found: _Found, now: datetime
) -> ProvenIdentity:
    """Of a tenant's provider, with the addresses that it speaks for.

    What cannot be stored is left out; a subject that cannot be is nobody's.
    """
    if not texts.is_clean(found.subject):
        raise Untrusted("bad_id_token")
    emails = tuple(email for email in found.emails if texts.is_clean(email))
    name = found.name if isinstance(found.name, str) and texts.is_clean(found.name) else None
    if sign_on is not None:
        emails = tuple(email for email in emails if email.rpartition("@")[2].lower() in sign_on.domains)
    try:
        return ProvenIdentity(
            provider=provider.name,
            title=provider.title,
            issuer=found.issuer,
            subject=found.subject,
            emails=emails[:EMAILS_MAX],
            name=None if name is None else name[: NAME_MAX_LENGTH * 2],
            proven_at=now,
            tenant_id=None if sign_on is None else sign_on.tenant_id,
        )
    except ValidationError as error:
        raise Untrusted("bad_id_token") from error
