"""Messages of the users domain about OAuth clients: programs that people sign in to, and that call the API themselves.

They run under the tenant whose client it is. No message carries a secret in clear: the edge makes a client's secret and
sends its SHA-256; codes, verifiers and tokens travel in `sealed_…` fields and in sealed replies.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from prog_contracts.ids import AuthorizationId, ClientId, SessionId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event

Grant = Literal["authorization_code", "refresh_token", "client_credentials"]
"""How a client may get tokens (RFC 6749)."""
PersonScope = Literal["openid", "profile", "email", "offline_access"]
"""What a person may let a client know of them, and that it goes on while they are away (OpenID Connect Core, 5.4)."""
AuthorizationEnd = Literal[
    "revoked", "consent_revoked", "code_reused", "refresh_reused", "expired", "password_changed", "client_removed"
]


@command("prognetwork.users.register_client", key="tenant_id", subject="client_id")
class RegisterClient(Command):
    """Keep a client. The actor, who sees its secret, is the one within whose rights it calls the API.

    Without `secret_digest` it is a public one, such as an app on a phone, which can keep no secret.
    """

    client_id: ClientId
    tenant_id: TenantId
    name: str
    secret_digest: str | None = None
    secret_hint: str | None = None
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...]


@command("prognetwork.users.update_client", key="tenant_id", subject="client_id")
class UpdateClient(Command):
    """Change what is given; the rest stays. What people have let the client know stays theirs to take back.

    An empty `backchannel_logout_uri` takes it away.
    """

    client_id: ClientId
    tenant_id: TenantId
    name: str | None = None
    redirect_uris: tuple[str, ...] | None = None
    post_logout_redirect_uris: tuple[str, ...] | None = None
    backchannel_logout_uri: str | None = None
    grants: tuple[Grant, ...] | None = None
    scopes: tuple[str, ...] | None = None


@command("prognetwork.users.roll_client_secret", key="tenant_id", subject="client_id")
class RollClientSecret(Command):
    """Give a client another secret; the one before is good for `grace_seconds` more. The actor holds it from now on."""

    client_id: ClientId
    tenant_id: TenantId
    secret_digest: str
    secret_hint: str
    grace_seconds: int


@command("prognetwork.users.remove_client", key="tenant_id", subject="client_id")
class RemoveClient(Command):
    """End a client for good, and all that anybody has let it do."""

    client_id: ClientId
    tenant_id: TenantId


@command("prognetwork.users.authorize_client", key="user_id")
class AuthorizeClient(Command):
    """A person lets a client know what `scopes` say. The reply, sealed, is an `AuthorizationCode`.

    `consents` says that the person has agreed just now; without it they must have before.
    """

    client_id: ClientId
    user_id: UserId
    by_session_id: SessionId
    redirect_uri: str
    scopes: tuple[PersonScope, ...]
    code_challenge: str
    nonce: str | None = None
    consents: bool = False


@command("prognetwork.users.decline_client", key="user_id")
class DeclineClient(Command):
    """A person does not let a client know what it has asked for."""

    client_id: ClientId
    user_id: UserId
    by_session_id: SessionId
    scopes: tuple[PersonScope, ...]


@command("prognetwork.users.exchange_code")
class ExchangeCode(Command):
    """Spend an authorization code. The reply, sealed, is an `IssuedTokens`; a second use ends what the first one gave.

    Each gets a key of its own: one atomic update spends the code, so no order is needed.
    """

    KEY_RULE: ClassVar[str | None] = "the first 32 hexadecimal digits of the SHA-256 of sealed_code"

    client_id: ClientId
    redirect_uri: str
    sealed_code: str
    sealed_verifier: str

    @property
    def partition_key(self) -> str:
        return hashlib.sha256(self.sealed_code.encode()).hexdigest()[:32]


@command("prognetwork.users.refresh_authorization", key="user_id")
class RefreshAuthorization(Command):
    """Exchange a client's refresh token. The reply, sealed, is an `IssuedTokens`; `scopes` may ask for less."""

    client_id: ClientId
    user_id: UserId
    sealed_refresh_token: str
    scopes: tuple[PersonScope, ...] | None = None


@command("prognetwork.users.issue_client_token", key="client_id")
class IssueClientToken(Command):
    """Give a client a token of its own, for `scopes` of the API. The reply, sealed, is an `IssuedTokens`."""

    client_id: ClientId
    scopes: tuple[str, ...]


@command("prognetwork.users.revoke_token", key="client_id")
class RevokeToken(Command):
    """A client gives a token of its own back: of access, or of refreshing, which ends all that came of it."""

    client_id: ClientId
    sealed_token: str


@command("prognetwork.users.revoke_consent", key="user_id")
class RevokeConsent(Command):
    """A person takes back what they have let a client know; all that it got by that ends."""

    client_id: ClientId
    user_id: UserId


@command("prognetwork.users.resend_logout_notices")
class ResendLogoutNotices(Command):
    """Tell clients again of sign-outs that they did not hear of. For operators."""


class AuthorizationCode(BaseModel):
    """What a client exchanges for tokens, once. It travels sealed."""

    model_config = ConfigDict(frozen=True)

    code: str


class IssuedTokens(BaseModel):
    """Tokens of a client. They travel sealed and are never logged or stored in clear."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    expires_in: int
    scopes: tuple[str, ...]
    refresh_token: str | None = None
    id_token: str | None = None


@event("prognetwork.users.client_registered", key="tenant_id", subject="client_id")
class ClientRegistered(Event):
    client_id: ClientId
    tenant_id: TenantId
    name: str
    confidential: bool
    secret_hint: str | None = None
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...]
    created_by: UserId
    created_at: datetime


@event("prognetwork.users.client_updated", key="tenant_id", subject="client_id")
class ClientUpdated(Event):
    client_id: ClientId
    tenant_id: TenantId
    name: str
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...]
    changed: tuple[str, ...]


@event("prognetwork.users.client_secret_rolled", key="tenant_id", subject="client_id")
class ClientSecretRolled(Event):
    """A client has another secret, which `rolled_by` has seen; the one before ends at `previous_ends_at`."""

    client_id: ClientId
    tenant_id: TenantId
    name: str
    secret_hint: str
    rolled_by: UserId
    previous_ends_at: datetime


@event("prognetwork.users.client_removed", key="tenant_id", subject="client_id")
class ClientRemoved(Event):
    """A client is gone, with `authorizations_ended` of people. Nobody has removed one that ended with its tenant."""

    client_id: ClientId
    tenant_id: TenantId
    name: str
    authorizations_ended: int
    removed_by: UserId | None = None


@event("prognetwork.users.client_authorized", key="user_id", subject="client_id")
class ClientAuthorized(Event):
    """A person signed in to a client. `consented` says that they agreed just now, and not before."""

    client_id: ClientId
    user_id: UserId
    session_id: SessionId
    scopes: tuple[PersonScope, ...]
    consented: bool


@event("prognetwork.users.consent_given", key="user_id", subject="client_id")
class ConsentGiven(Event):
    """A person lets a client know more than before. Who they are is for the client's tenant to learn by the scopes."""

    client_id: ClientId
    user_id: UserId
    scopes: tuple[PersonScope, ...]
    given_at: datetime


@event("prognetwork.users.consent_denied", key="user_id", subject="client_id")
class ConsentDenied(Event):
    """A person was asked what a client may know, and has let it know nothing more."""

    client_id: ClientId
    user_id: UserId
    scopes: tuple[PersonScope, ...]


@event("prognetwork.users.consent_revoked", key="user_id", subject="client_id")
class ConsentRevoked(Event):
    client_id: ClientId
    user_id: UserId
    authorizations_ended: int


@event("prognetwork.users.tokens_issued", key="client_id", subject="client_id")
class TokensIssued(Event):
    """A client got tokens: for a person who is signed in to it, or for itself."""

    client_id: ClientId
    grant: Grant
    scopes: tuple[str, ...]
    user_id: UserId | None = None
    authorization_id: AuthorizationId | None = None


@event("prognetwork.users.code_exchange_refused", key="client_id", subject="client_id")
class CodeExchangeRefused(Event):
    """A client came with a code that is not good: spent before, too old, another client's, or without its proof."""

    client_id: ClientId
    reason: Literal["unknown", "reused", "expired", "wrong_client", "wrong_redirect_uri", "wrong_verifier", "over"]
    user_id: UserId | None = None


@event("prognetwork.users.authorization_ended", key="client_id", subject="client_id")
class AuthorizationEnded(Event):
    """What a person's sign-in to a client gave is good no more."""

    client_id: ClientId
    user_id: UserId
    authorization_id: AuthorizationId
    reason: AuthorizationEnd


@event("prognetwork.users.client_token_revoked", key="client_id", subject="client_id")
class ClientTokenRevoked(Event):
    """A client gave back a single access token: a person's, or its own."""

    client_id: ClientId
    user_id: UserId | None = None


@event("prognetwork.users.logout_notified", key="client_id", subject="client_id")
class LogoutNotified(Event):
    """A client has heard that a person is signed in to it no more. `session_id` is the one that its ID token named."""

    client_id: ClientId
    user_id: UserId
    session_id: SessionId
    attempts: int


@event("prognetwork.users.logout_notice_failed", key="client_id", subject="client_id")
class LogoutNoticeFailed(Event):
    """A client was to hear that a person is signed in to it no more, and has said no, or nothing for about a day."""

    client_id: ClientId
    user_id: UserId
    session_id: SessionId
    attempts: int
    reason: Literal["refused", "given_up"]
    status: int | None = None


@event("prognetwork.users.logout_notices_resent")
class LogoutNoticesResent(Event):
    """An operator has had clients told again of so many sign-outs that they had not heard of."""

    count: int
