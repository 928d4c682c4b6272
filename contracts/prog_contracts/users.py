"""Messages of the users domain: people, their credentials and sessions.

Fields named `sealed_…` hold secrets that were sealed by `prog_kit.secrets.Sealer`; only their consumer opens them.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import ClassVar, Literal

from prog_contracts.ids import SessionId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event
from prog_contracts.profiles import AvatarId, Theme

PlatformRole = Literal["operator", "support"]
SignInMethod = Literal["password", "magic_link", "social", "sign_on", "passkey"]
"""`social` is an identity provider of the settings: Google, GitHub, another OpenID issuer; `sign_on` a tenant's own. A
passkey is two factors: the device that has it, and what unlocks that."""
SecondFactor = Literal["totp", "recovery_code", "passkey"]
"""What proves a person beyond their sign-in method: a code of an authenticator app, a passkey, or a code that was kept
for losing those."""


@command("prognetwork.users.register_user", key="email", subject="user_id")
class RegisterUser(Command):
    """Make an account, or do nothing visible when the address is known (no enumeration)."""

    user_id: UserId
    email: str
    name: str
    sealed_password: str
    tenant_name: str | None = None
    site_tenant_id: TenantId | None = None
    """The tenant at whose own host somebody signed up; the same for links that are asked for."""


@command("prognetwork.users.ensure_administrator", key="email", subject="user_id")
class EnsureAdministrator(Command):
    """Make the first platform operator unless one with this address exists."""

    user_id: UserId
    email: str
    name: str
    sealed_password: str


class SpendToken(Command):
    """Spend a token that was mailed.

    No field of the body orders it: the token tells no address, and which user it is for is known only once it is found.
    One atomic update spends it, so no order is needed; each gets a key of its own, and one that is put off or given up
    holds up no other, as it would if all shared the platform tenant's key.
    """

    KEY_RULE: ClassVar[str | None] = "the first 32 hexadecimal digits of the SHA-256 of sealed_token"

    sealed_token: str

    @property
    def partition_key(self) -> str:
        return hashlib.sha256(self.sealed_token.encode()).hexdigest()[:32]


@command("prognetwork.users.verify_email")
class VerifyEmail(SpendToken):
    """Spend the token of a verification mail."""


@command("prognetwork.users.resend_verification", key="email")
class ResendVerification(Command):
    email: str
    site_tenant_id: TenantId | None = None


@command("prognetwork.users.request_password_reset", key="email")
class RequestPasswordReset(Command):
    """Mail a link that sets a new password, if there is somebody to mail it to. The reply is the same for everybody."""

    email: str
    client_address: str | None = None
    site_tenant_id: TenantId | None = None


@command("prognetwork.users.reset_password")
class ResetPassword(SpendToken):
    """Spend the token of such a link and set the password. All sessions of the account end; none is opened."""

    sealed_password: str
    client_address: str | None = None


@command("prognetwork.users.request_magic_link", key="email")
class RequestMagicLink(Command):
    """Mail a link that signs in, if there is somebody to mail it to. The reply is the same for everybody."""

    email: str
    client_address: str | None = None
    site_tenant_id: TenantId | None = None


@command("prognetwork.users.consume_magic_link")
class ConsumeMagicLink(SpendToken):
    """Spend the token of such a link and open a session. The reply is as that of `Authenticate`."""

    client_address: str | None = None
    user_agent: str | None = None


@command("prognetwork.users.authenticate", key="email")
class Authenticate(Command):
    """Check a password and open a session.

    The reply, sealed, is a `TokenSet`, or a `SecondFactorNeeded` where the person has a second factor.
    """

    email: str
    sealed_password: str
    client_address: str | None = None
    user_agent: str | None = None


@command("prognetwork.users.refresh_session", key="session_id")
class RefreshSession(Command):
    """Exchange a refresh token for new ones; a used token ends the whole session. The reply is a sealed `TokenSet`."""

    session_id: SessionId
    sealed_refresh_token: str


@command("prognetwork.users.end_session", key="session_id")
class EndSession(Command):
    """End a session: its own user may, a platform operator, or whoever holds its refresh token.

    `successor_session_id` is one of the same person that takes its place: they stay signed in to clients.
    """

    session_id: SessionId
    reason: Literal["signed_out", "revoked"] = "signed_out"
    sealed_refresh_token: str | None = None
    successor_session_id: SessionId | None = None


@command("prognetwork.users.revoke_sessions", key="user_id")
class RevokeSessions(Command):
    """End one of a person's sessions, or all but the one in use. Only the person may, who has signed in just now.

    `by_session_id` is the session in use, which may itself be ended at any time.
    """

    user_id: UserId
    by_session_id: SessionId
    session_id: SessionId | None = None


@command("prognetwork.users.change_password", key="user_id")
class ChangePassword(Command):
    """A signed-in person sets another password. Only the person may, who knows the old one or has signed in just now.

    All sessions end but `by_session_id`, and so do links and sign-ins that are under way.
    """

    user_id: UserId
    by_session_id: SessionId
    sealed_password: str
    sealed_current_password: str | None = None
    client_address: str | None = None


@command("prognetwork.users.purge_credentials")
class PurgeCredentials(Command):
    """Delete what ended or expired more than 30 days ago, and seal what is kept anew where an older key sealed it: of
    persons with ids behind `sealed_up_to`; None where that is done.

    The scheduler sends it every night.
    """

    sealed_up_to: str | None = ""


@command("prognetwork.users.end_expired_sessions")
class EndExpiredSessions(Command):
    """End sessions that have run out, and have the clients told that their persons had signed in to.

    The scheduler sends it every few minutes.
    """


@event("prognetwork.users.user_created", key="user_id")
class UserCreated(Event):
    user_id: UserId
    email: str
    name: str
    created_at: datetime
    email_verified: bool = False
    platform_role: PlatformRole | None = None
    tenant_name: str | None = None


@event("prognetwork.users.user_updated", key="user_id")
class UserUpdated(Event):
    """What a person is called and prefers, whole; None is what they have not said. `changed` names what is another."""

    user_id: UserId
    email: str
    name: str
    email_verified: bool
    changed: tuple[str, ...] = ()
    locale: str | None = None
    time_zone: str | None = None
    theme: Theme | None = None
    avatar_id: AvatarId | None = None


@event("prognetwork.users.user_deleted", key="user_id")
class UserDeleted(Event):
    user_id: UserId


@event("prognetwork.users.email_verified", key="user_id")
class EmailVerified(Event):
    user_id: UserId
    email: str
    name: str
    verified_at: datetime
    tenant_name: str | None = None


@event("prognetwork.users.user_authenticated", key="user_id")
class UserAuthenticated(Event):
    user_id: UserId
    session_id: SessionId
    method: SignInMethod = "password"
    client_address: str | None = None
    second_factor: SecondFactor | None = None


@event("prognetwork.users.authentication_failed", key="email_digest")
class AuthenticationFailed(Event):
    """`email_digest` is a keyed digest of the address that was tried; the address itself is not told."""

    email_digest: str
    reason: Literal["unknown_user", "wrong_password", "unverified", "disabled", "sign_on_only"]
    client_address: str | None = None


LinkPurpose = Literal["reset_password", "magic_link"]


@event("prognetwork.users.link_requested", key="email_digest")
class LinkRequested(Event):
    """Somebody asked for a link by mail. Only `mailed` was one sent; whoever asked is not told which it is.

    `email_digest` is a keyed digest of the address that was given; the address itself is not told.
    """

    email_digest: str
    purpose: LinkPurpose
    outcome: Literal["mailed", "unknown_user", "disabled", "unverified", "too_soon", "sign_on_only"]
    user_id: UserId | None = None
    client_address: str | None = None


@event("prognetwork.users.link_refused", key="token_digest")
class LinkRefused(Event):
    """Somebody came with the token of a link that is not good: made up, used before, replaced, or too old.

    `token_digest` is a keyed digest of it, so that tries with one token are seen to be that.
    """

    token_digest: str
    purpose: LinkPurpose
    client_address: str | None = None


@event("prognetwork.users.password_changed", key="user_id")
class PasswordChanged(Event):
    """The account has another password. `sessions_ended` counts those that ended with it: all but one in use."""

    user_id: UserId
    email: str
    name: str
    changed_at: datetime
    how: Literal["reset", "change"]
    sessions_ended: int
    client_address: str | None = None


@event("prognetwork.users.other_sessions_ended", key="user_id")
class OtherSessionsEnded(Event):
    """A person signed out everywhere else: all sessions but `kept_session_id` ended, `count` of them."""

    user_id: UserId
    kept_session_id: SessionId
    count: int


@event("prognetwork.users.revocation_denied", key="user_id")
class RevocationDenied(Event):
    """A session that was not opened just now tried to end another one."""

    user_id: UserId
    by_session_id: SessionId


@event("prognetwork.users.session_ended", key="user_id")
class SessionEnded(Event):
    user_id: UserId
    session_id: SessionId
    reason: Literal["signed_out", "revoked", "refresh_reused", "expired"]
