"""GitHub, which is no OpenID provider: OAuth 2.0 with PKCE, then its API for who came and their verified addresses.

The number of an account is its subject: names are given up and taken by others. Sources:
docs.github.com/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps, …/rest/users/users, …/rest/users/emails
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from prog_edge.federation.errors import Untrusted
from prog_edge.federation.openid import CodeClient, fetched_token
from prog_edge.federation.pending import Pending
from prog_kit.identity_providers import IdentityProvider
from prog_kit.outbound import Outbound, Unreachable

SCOPE: Final = "read:user user:email"
_NO_MAILBOX: Final = "@users.noreply.github.com"
_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class GitHubAccount:
    """`emails` are the verified ones, the primary one first."""

    subject: str
    name: str | None
    emails: tuple[str, ...]


class GitHub:
    def __init__(self, outbound: Outbound, provider: IdentityProvider, redirect_uri: str) -> None:
        self._outbound = outbound
        self._site = provider.issuer.rstrip("/")
        self._api = provider.api_url.rstrip("/")
        self._client_id = provider.client_id
        self._client_secret = provider.client_secret
        self._redirect_uri = redirect_uri

    def authorization_url(self, pending: Pending) -> str:
        url, _ = self._client().create_authorization_url(
            f"{self._site}/login/oauth/authorize", state=pending.state, code_verifier=pending.verifier
        )
        return str(url)

    async def account(self, pending: Pending, code: str, told_issuer: str | None) -> GitHubAccount:
        """Who came back with a code. Raises Untrusted or Unreachable."""
        if told_issuer is not None and told_issuer not in (self._site, f"{self._site}/login/oauth"):
            raise Untrusted("wrong_issuer")
        url = f"{self._site}/login/oauth/access_token"
        token = await fetched_token(self._client(), url, code, pending.verifier)
        bearer = token.get("access_token")
        if not isinstance(bearer, str) or not bearer.isascii():
            raise Untrusted("code_refused")
        person, addresses = await self._api_answer(bearer, "/user"), await self._api_answer(bearer, "/user/emails")
        number = person.get("id") if isinstance(person, dict) else None
        if not isinstance(number, int) or isinstance(number, bool):
            raise Unreachable("GitHub does not tell whose account it is.")
        name = person.get("name") or person.get("login")
        return GitHubAccount(str(number), name if isinstance(name, str) else None, _verified(addresses))

    async def _api_answer(self, bearer: str, path: str) -> Any:
        headers = {
            "Authorization": f"Bearer {bearer}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
        }
        answer = await self._outbound.get(self._api + path, headers)
        if answer.status_code == _UNAUTHORIZED:
            raise Untrusted("code_refused")
        answer.raise_for_status()
        try:
            return answer.json()
        except ValueError as error:
            raise Unreachable("GitHub's answer is no JSON.") from error

    def _client(self) -> CodeClient:
        return CodeClient(
            self._outbound,
            client_id=self._client_id,
            client_secret=self._client_secret,
            token_endpoint_auth_method="client_secret_post",  # noqa: S106 - the name of a method
            scope=SCOPE,
            redirect_uri=self._redirect_uri,
        )


def _verified(addresses: object) -> tuple[str, ...]:
    """Addresses that GitHub has verified and where mail arrives."""
    entries = [each for each in addresses if isinstance(each, Mapping)] if isinstance(addresses, list) else []
    good = [each for each in entries if each.get("verified") is True and isinstance(each.get("email"), str)]
    good.sort(key=lambda each: each.get("primary") is not True)
    return tuple(each["email"] for each in good if not each["email"].lower().endswith(_NO_MAILBOX))
