"""Replies that are not events: what a command's caller gets back and nobody else sees."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from prog_contracts.ids import ImpersonationId, PasskeyId, SessionId, UserId
from prog_contracts.users import PlatformRole, SecondFactor


class TokenSet(BaseModel):
    """The credentials of a session. It travels sealed and is never logged or stored in clear."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    refresh_token: str
    expires_in: int
    session_id: SessionId
    user_id: UserId
    platform_role: PlatformRole | None = None


class ImpersonationToken(BaseModel):
    """The credential of an impersonation, good until `expires_at` and not to be renewed. It travels sealed."""

    model_config = ConfigDict(frozen=True)

    impersonation_id: ImpersonationId
    user_id: UserId
    operator_id: UserId
    reason: str
    access_token: str
    began_at: datetime
    expires_at: datetime


class SecondFactorNeeded(BaseModel):
    """The first factor was right, and the account has a second one. It travels sealed and is never logged or stored.

    `mfa_token` is good for `CompleteSignIn` alone, for `expires_in` seconds.
    """

    model_config = ConfigDict(frozen=True)

    mfa_required: Literal[True] = True
    mfa_token: str
    methods: tuple[SecondFactor, ...]
    expires_in: int


class AccountToProve(BaseModel):
    """The address that an identity came with has an account. Whoever proves that it is theirs may link the two."""

    model_config = ConfigDict(frozen=True)

    proof_required: Literal[True] = True
    email: str


class TotpEnrolment(BaseModel):
    """An authenticator's secret, for its owner to scan or type in until `expires_at`. It travels sealed."""

    model_config = ConfigDict(frozen=True)

    secret: str
    otpauth_uri: str
    expires_at: datetime


class RecoveryCodes(BaseModel):
    """Recovery codes in clear, told once; none where those from before stay. They travel sealed."""

    model_config = ConfigDict(frozen=True)

    recovery_codes: tuple[str, ...]


class PasskeyAdded(BaseModel):
    """A passkey that is kept. Recovery codes come with a person's first second factor. It travels sealed."""

    model_config = ConfigDict(frozen=True)

    passkey_id: PasskeyId
    name: str
    backed_up: bool
    created_at: datetime
    recovery_codes: tuple[str, ...]
