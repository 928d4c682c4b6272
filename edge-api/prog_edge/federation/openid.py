"""OpenID Connect Core 1.0, the code flow, as a client: with Authlib's client and claims over `outbound`.

Vendors differ in what they say of an address, and this is the one place that knows it:

- Google tells `email_verified`, which counts. (developers.google.com/identity/openid-connect/openid-connect)
- Microsoft's `email` is what an administrator typed in: it counts where `xms_edov` says that its domain's owner vouches
  for it, or for personal accounts. One address serves all directories, so its issuer has the directory's id in it.
  (learn.microsoft.com/entra/identity-platform/migrate-off-email-claim-authorization, …/id-token-claims-reference)
- Any other issuer: `email_verified` counts.
- A tenant's own provider speaks for the tenant's domains, which the tenant has proven: its addresses there count unless
  it says itself that they are not verified. Many of them do not say.
"""

from __future__ import annotations

import base64
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote_plus

from authlib.oauth2.base import OAuth2Error
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from prog_edge.federation.discovery import Directory, Metadata
from prog_edge.federation.errors import Untrusted
from prog_edge.federation.pending import Pending
from prog_kit.outbound import Answer, Outbound, Unreachable

SCOPE: Final = "openid email profile"
LEEWAY_SECONDS: Final = 60
FRESH_SECONDS: Final = 300
"""How long ago somebody may have signed in at the provider who steps up with it."""
MAX_TOKEN_LENGTH: Final = 32 * 1024
_PERSONAL_MICROSOFT: Final = "9188040d-6c67-4c5b-b112-36a304b66dad"
Vouching = Literal["claim", "microsoft", "domain"]
_GUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class CodeClient(OAuth2Client):  # type: ignore[misc]  # Authlib has no types
    """Authlib's client with a transport of ours, which is bounded."""

    def __init__(self, outbound: Outbound, **options: Any) -> None:
        super().__init__(session=None, code_challenge_method="S256", **options)
        self.register_client_auth_method(("client_secret_basic", _basic))
        self._outbound = outbound

    async def _fetch_token(
        self, url: str, body: str = "", headers: Any = None, auth: Any = None, method: str = "POST", **_: Any
    ) -> Any:
        url, headers, body = auth.prepare(method, url, dict(headers or {}), body)
        answer: Answer = await self._outbound.send(method, url, headers=headers, body=body)
        return self.parse_response_token(answer)


def _basic(client: Any, method: str, url: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    """Both parts are encoded first (RFC 6749, section 2.3.1), which Authlib leaves out."""
    text = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return url, {**headers, "Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}, body


async def fetched_token(client: CodeClient, url: str, code: str, verifier: str) -> Mapping[str, Any]:
    """The token endpoint's answer to a code. Raises Untrusted for a code that is not good, or Unreachable."""
    try:
        answer = await client.fetch_token(url, grant_type="authorization_code", code=code, code_verifier=verifier)
    except OAuth2Error as error:
        raise Untrusted("code_refused") from error
    except ValueError as error:
        raise Unreachable("The identity provider's answer to the code is no JSON object.") from error
    return dict(answer)


class OpenIdProvider:
    """One issuer, and this platform as its client."""

    def __init__(
        self,
        outbound: Outbound,
        directory: Directory,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        redirect_uri: str,
        vouching: Vouching = "claim",
        asks_again: bool = True,
    ) -> None:
        self._directory = directory
        self._outbound = outbound
        self._issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._redirect_uri = redirect_uri
        self._vouching = vouching
        self._asks_again = asks_again

    async def authorization_url(self, pending: Pending, login_hint: str | None = None) -> str:
        """Where the browser goes. Raises Unreachable."""
        metadata = await self._metadata()
        extra: dict[str, str] = {} if login_hint is None else {"login_hint": login_hint}
        if pending.purpose == "step_up" and self._asks_again:
            extra |= {"prompt": "login", "max_age": "0"}
        url, _ = self._client(metadata).create_authorization_url(
            metadata.authorization_endpoint,
            state=pending.state,
            nonce=pending.nonce,
            code_verifier=pending.verifier,
            **extra,
        )
        return str(url)

    async def claims(self, pending: Pending, code: str, told_issuer: str | None, now: float) -> Mapping[str, Any]:
        """The claims of whoever came back with a code, `iss` and `sub` among them.

        `told_issuer` is the answer's `iss` parameter. Raises Untrusted or Unreachable.
        """
        metadata = await self._metadata()
        _check_told_issuer(metadata, told_issuer)
        token = await fetched_token(self._client(metadata), metadata.token_endpoint, code, pending.verifier)
        claims = await self._checked(metadata, token, pending, now)
        if told_issuer is not None and told_issuer != claims["iss"]:
            raise Untrusted("wrong_issuer")
        return claims

    def emails(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        """The address that the provider vouches for."""
        email = claims.get("email")
        if not isinstance(email, str) or not email:
            return ()
        if self._vouching == "microsoft":
            vouched = claims.get("xms_edov") in (True, 1, "1", "true") or claims.get("tid") == _PERSONAL_MICROSOFT
        elif self._vouching == "domain":
            vouched = claims.get("email_verified", True) in (True, "true")
        else:
            vouched = claims.get("email_verified") in (True, "true")
        return (email,) if vouched else ()

    async def _metadata(self) -> Metadata:
        return await self._directory.metadata(self._issuer, templated=self._vouching == "microsoft")

    def _client(self, metadata: Metadata) -> CodeClient:
        return CodeClient(
            self._outbound,
            client_id=self._client_id,
            client_secret=self._client_secret,
            token_endpoint_auth_method=metadata.auth_method,
            scope=SCOPE,
            redirect_uri=self._redirect_uri,
        )

    async def _checked(
        self, metadata: Metadata, token: Mapping[str, Any], pending: Pending, now: float
    ) -> Mapping[str, Any]:
        text = token.get("id_token")
        if not isinstance(text, str) or len(text) > MAX_TOKEN_LENGTH:
            raise Untrusted("no_id_token")
        again = pending.purpose == "step_up" and self._asks_again
        try:
            decoded = await self._decoded(metadata, text)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self._expected_issuer(metadata, decoded.claims)},
                    "sub": {"essential": True},
                    "aud": {"essential": True, "value": self._client_id},
                    "exp": {"essential": True},
                    "iat": {"essential": True},
                    "nonce": {"essential": True, "value": pending.nonce},
                },
                {
                    "nonce": pending.nonce,
                    "client_id": self._client_id,
                    "access_token": token.get("access_token"),
                    "max_age": FRESH_SECONDS if again and self._vouching != "microsoft" else None,
                },
            )
            claims.validate(now=int(now), leeway=LEEWAY_SECONDS)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise Untrusted("bad_id_token") from error
        subject, signed_in_at = claims["sub"], claims.get("auth_time")
        if not isinstance(subject, str) or not subject:
            raise Untrusted("bad_id_token")
        if again and signed_in_at is not None and now - signed_in_at > FRESH_SECONDS + LEEWAY_SECONDS:
            raise Untrusted("not_signed_in_again")
        return dict(claims)

    async def _decoded(self, metadata: Metadata, text: str) -> jwt.Token:
        try:
            return _verified(text, await self._directory.keys(metadata), metadata.algorithms)
        except JoseError:
            # Of a key that was not there, or that is another under the same name: the provider may have rotated.
            return _verified(text, await self._directory.keys(metadata, anew=True), metadata.algorithms)

    def _expected_issuer(self, metadata: Metadata, claims: Mapping[str, Any]) -> str:
        if self._vouching != "microsoft":
            return metadata.issuer
        directory = claims.get("tid")
        if not isinstance(directory, str) or not _GUID.fullmatch(directory):
            raise Untrusted("wrong_issuer")
        return metadata.issuer.replace("{tenantid}", directory)


def _verified(text: str, keys: KeySet, algorithms: Sequence[str]) -> jwt.Token:
    """Raises JoseError for what none of these keys has signed with one of these algorithms."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # `EdDSA` has a newer name, which most do not use yet
        registry = JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        return jwt.decode(text, keys, registry=registry)


def _check_told_issuer(metadata: Metadata, told: str | None) -> None:
    """RFC 9207: an answer of another issuer's is no answer, nor one that should have said whose it is and did not."""
    if told is None:
        if metadata.tells_issuer:
            raise Untrusted("wrong_issuer")
    elif told != metadata.issuer and "{tenantid}" not in metadata.issuer:
        raise Untrusted("wrong_issuer")
