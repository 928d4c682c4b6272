"""Messages of the users domain about identities that other providers vouch for: Google, GitHub, any OpenID issuer.

An identity is the pair of issuer and subject, never an e-mail address. What a provider has told, and the edge has
checked, travels as a `ProvenIdentity` in a `sealed_identity` field: only who holds PROG_SECRET_KEYS can make one.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from prog_contracts.ids import IdentityId, SessionId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event

SUBJECT_MAX_LENGTH = 255
"""OpenID Connect Core 1.0, section 2: a subject has 255 characters at the most."""
ISSUER_MAX_LENGTH = 500
EMAILS_MAX = 50


class ProvenIdentity(BaseModel):
    """Who somebody is at a provider, as the edge has checked it.

    `provider` is its name in the settings, `title` the one that people know. `emails` are those that the provider says
    it has verified, the main one first. With a `tenant_id` it is that tenant's own provider, which speaks for addresses
    of the tenant's domains alone, and whose identities are apart from those of all others.
    """

    model_config = ConfigDict(frozen=True)

    provider: str
    title: str
    issuer: Annotated[str, Field(min_length=1, max_length=ISSUER_MAX_LENGTH)]
    subject: Annotated[str, Field(min_length=1, max_length=SUBJECT_MAX_LENGTH)]
    emails: Annotated[tuple[str, ...], Field(max_length=EMAILS_MAX)] = ()
    name: str | None = None
    proven_at: datetime
    tenant_id: TenantId | None = None

    @property
    def digest(self) -> str:
        """What orders messages about it: the same for the same issuer and subject."""
        return hashlib.sha256(f"{self.issuer}\n{self.subject}\n{self.tenant_id or ''}".encode()).hexdigest()[:32]


@command("prognetwork.users.sign_in_with_identity", key="identity_digest")
class SignInWithIdentity(Command):
    """Open a session for whoever has this identity, and make an account where nobody has it or its address yet.

    The reply, sealed, is a `TokenSet`, a `SecondFactorNeeded`, or an `AccountToProve` where the address has an account
    that this identity does not belong to.
    """

    identity_digest: str
    sealed_identity: str
    client_address: str | None = None
    user_agent: str | None = None


@command("prognetwork.users.sign_in_and_link", key="email")
class SignInAndLink(Command):
    """Prove with the password that an account is one's own, link the identity to it, and open a session.

    The reply is as that of `Authenticate`.
    """

    email: str
    sealed_password: str
    sealed_identity: str
    client_address: str | None = None
    user_agent: str | None = None


@command("prognetwork.users.link_identity", key="user_id")
class LinkIdentity(Command):
    """A signed-in person links an identity whose provider has verified the address of their account."""

    user_id: UserId
    by_session_id: SessionId
    sealed_identity: str
    client_address: str | None = None


@command("prognetwork.users.unlink_identity", key="user_id")
class UnlinkIdentity(Command):
    """A person takes an identity away from their account, if another way in is left."""

    user_id: UserId
    by_session_id: SessionId
    identity_id: IdentityId
    client_address: str | None = None


@command("prognetwork.users.step_up_with_identity", key="user_id")
class StepUpWithIdentity(Command):
    """A signed-in person without a second factor proves again who they are, with an identity of theirs.

    The reply, sealed, is the `TokenSet` of a session in place of the one in use.
    """

    user_id: UserId
    by_session_id: SessionId
    sealed_identity: str
    client_address: str | None = None
    user_agent: str | None = None


@event("prognetwork.users.identity_linked", key="user_id")
class IdentityLinked(Event):
    """`with_account` says that the account was made for it just then."""

    user_id: UserId
    email: str
    name: str
    identity_id: IdentityId
    provider: str
    title: str
    issuer: str
    linked_at: datetime
    with_account: bool = False
    client_address: str | None = None


@event("prognetwork.users.identity_unlinked", key="user_id")
class IdentityUnlinked(Event):
    user_id: UserId
    email: str
    name: str
    identity_id: IdentityId
    provider: str
    title: str
    issuer: str
    unlinked_at: datetime
    client_address: str | None = None


@event("prognetwork.users.identity_refused", key="identity_digest")
class IdentityRefused(Event):
    """An identity was proven, and yet opened or changed nothing.

    `account_exists` is an address with an account that the identity does not belong to: its person has to prove that
    first. `other_account` is an identity that belongs to another account, `other_address` one whose provider has not
    verified the account's own address. `other_domain` comes from a tenant's provider that does not speak for the
    address, `sign_on_only` from any other where the address's tenant asks for its own.
    """

    identity_digest: str
    provider: str
    reason: Literal[
        "no_address",
        "account_exists",
        "disabled",
        "too_old",
        "other_account",
        "other_address",
        "other_domain",
        "sign_on_only",
    ]
    user_id: UserId | None = None
    client_address: str | None = None
