"""The way through another provider: begun with an address to go to, finished with an identity that is proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import ValidationError

from prog_contracts.errors import NotFound
from prog_contracts.identities import EMAILS_MAX, ProvenIdentity
from prog_contracts.inputs import NAME_MAX_LENGTH
from prog_edge.federation import pending as kept
from prog_edge.federation.discovery import Directory
from prog_edge.federation.errors import Untrusted
from prog_edge.federation.github import GitHub
from prog_edge.federation.openid import OpenIdProvider
from prog_edge.federation.outbound import Outbound
from prog_edge.federation.pending import Pending, Purpose
from prog_kit.identity_providers import IdentityProvider
from prog_kit.secrets import Sealer

CALLBACK: Final = "/v1/auth/oauth/{provider}/callback"
MAX_CODE_LENGTH: Final = 4096


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


class Federation:
    """The providers of the settings. One a process; `close` it."""

    def __init__(
        self, providers: Sequence[IdentityProvider], sealer: Sealer, public_url: str, outbound: Outbound
    ) -> None:
        self.providers: Final = {provider.name: provider for provider in providers}
        self._sealer = sealer
        self._outbound = outbound
        self.directory: Final = Directory(outbound)
        self._public_url = public_url.rstrip("/")
        self.cookie_name: Final = "__Host-prog_federation" if public_url.startswith("https://") else "prog_federation"

    async def close(self) -> None:
        await self._outbound.close()

    async def begin(
        self,
        name: str,
        purpose: Purpose,
        next_address: str,
        *,
        user_id: str | None = None,
        session_id: str | None = None,
    ) -> Begun:
        """Raises NotFound for a provider that is not there, Unreachable for one that does not answer."""
        provider = self._provider(name)
        begun = Pending.begin(name, purpose, next_address, datetime.now(UTC), user_id=user_id, session_id=session_id)
        if provider.kind == "github":
            url = self._github(provider).authorization_url(begun)
        else:
            url = await self._openid(provider).authorization_url(begun)
        return Begun(url, kept.sealed(self._sealer, begun))

    async def finish(self, name: str, cookie: str, answer: Mapping[str, str]) -> Finished:
        """Who came back, by the query of the provider's answer and the browser's cookie.

        Raises Untrusted for an answer that is not good, and Unreachable.
        """
        now = datetime.now(UTC)
        begun = kept.opened(self._sealer, cookie)
        if begun is None or not begun.is_answered_by(name, answer.get("state", ""), now):
            raise Untrusted("not_begun")
        provider = self._provider(name)
        code = answer.get("code", "")
        if "error" in answer:
            raise Untrusted("canceled" if answer["error"] == "access_denied" else "provider_error")
        if not 0 < len(code) <= MAX_CODE_LENGTH:
            raise Untrusted("code_refused")
        if provider.kind == "github":
            account = await self._github(provider).account(begun, code, answer.get("iss"))
            return Finished(
                begun, _identity(provider, provider.issuer, account.subject, account.emails, account.name, now)
            )
        client = self._openid(provider)
        claims = await client.claims(begun, code, answer.get("iss"), now.timestamp())
        emails = client.emails(claims)
        return Finished(begun, _identity(provider, claims["iss"], claims["sub"], emails, claims.get("name"), now))

    def keep(self, identity: ProvenIdentity) -> str:
        """The cookie's value for an identity that waits for its person to prove an account."""
        return kept.sealed(self._sealer, identity)

    def kept(self, cookie: str) -> ProvenIdentity | None:
        return kept.opened_identity(self._sealer, cookie)

    def begun(self, cookie: str) -> Pending | None:
        return kept.opened(self._sealer, cookie)

    def _provider(self, name: str) -> IdentityProvider:
        provider = self.providers.get(name)
        if provider is None:
            raise NotFound("There is no such identity provider.")
        return provider

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
            microsoft=provider.kind == "microsoft",
            asks_again=provider.kind != "google",
        )

    def _redirect_uri(self, name: str) -> str:
        """One for each provider, so that no answer of one passes for another's."""
        return self._public_url + CALLBACK.format(provider=name)


def _identity(
    provider: IdentityProvider, issuer: str, subject: str, emails: tuple[str, ...], name: Any, now: datetime
) -> ProvenIdentity:
    try:
        return ProvenIdentity(
            provider=provider.name,
            title=provider.title,
            issuer=issuer,
            subject=subject,
            emails=emails[:EMAILS_MAX],
            name=name[: NAME_MAX_LENGTH * 2] if isinstance(name, str) else None,
            proven_at=now,
        )
    except ValidationError as error:
        raise Untrusted("bad_id_token") from error
