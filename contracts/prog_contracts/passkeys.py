"""Messages of the users domain about passkeys (WebAuthn): keys on people's devices that sign in without a password.

What an authenticator answers travels sealed, together with the token of the challenge that it signed, as a
`PasskeyAnswer`. How each is checked is told in `prog_workers.users.ceremonies`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from prog_contracts.ids import PasskeyId, SessionId, UserId
from prog_contracts.messages import Command, Event, command, event


class PasskeyAnswer(BaseModel):
    """What `sealed_…` fields about passkeys hold, as JSON: `credential` is the JSON form of a PublicKeyCredential."""

    model_config = ConfigDict(frozen=True)

    token: str
    credential: str


@command("prognetwork.users.add_passkey", key="user_id")
class AddPasskey(Command):
    """Keep a passkey that a person's device has made. It is a second factor from then on, and a whole sign-in.

    The reply, sealed, is a `PasskeyAdded`.
    """

    user_id: UserId
    by_session_id: SessionId
    passkey_id: PasskeyId
    name: str
    sealed_answer: str
    client_address: str | None = None


@command("prognetwork.users.rename_passkey", key="user_id")
class RenamePasskey(Command):
    user_id: UserId
    passkey_id: PasskeyId
    name: str


@command("prognetwork.users.remove_passkey", key="user_id")
class RemovePasskey(Command):
    """Refuse a passkey from now on. With a person's last second factor the recovery codes go, too."""

    user_id: UserId
    by_session_id: SessionId
    passkey_id: PasskeyId
    client_address: str | None = None


@command("prognetwork.users.sign_in_by_passkey", key="user_id")
class SignInByPasskey(Command):
    """Open a session for whoever has a passkey and has unlocked it: two factors. The reply, sealed, is a `TokenSet`.

    `user_id` is the person whom the authenticator names; `bound_to` the browser that asked for the challenge.
    """

    user_id: UserId
    sealed_answer: str
    bound_to: str = ""
    client_address: str | None = None
    user_agent: str | None = None


@event("prognetwork.users.passkey_changed", key="user_id")
class PasskeyChanged(Event):
    """`backed_up` says whether the passkey is kept in an account beyond the device that made it."""

    user_id: UserId
    email: str
    name: str
    passkey_id: PasskeyId
    passkey_name: str
    change: Literal["added", "renamed", "removed"]
    changed_at: datetime
    backed_up: bool = False
    client_address: str | None = None


PasskeyFailure = Literal[
    "challenge_over", "unknown_passkey", "wrong_answer", "copied_passkey", "disabled", "sign_on_only"
]
"""Why a passkey opens nothing. `challenge_over`: the challenge was too old, answered before, or for something else."""


@event("prognetwork.users.passkey_refused", key="user_id")
class PasskeyRefused(Event):
    """Somebody tried to sign in with a passkey as `user_id`, whom their authenticator named; there may be no such."""

    user_id: UserId
    reason: PasskeyFailure
    client_address: str | None = None


@event("prognetwork.users.passkey_copy_refused", key="user_id")
class PasskeyCopyRefused(Event):
    """A passkey signed that had counted further before: there are two of it, and one was not made by its person."""

    user_id: UserId
    email: str
    name: str
    passkey_id: PasskeyId
    passkey_name: str
    refused_at: datetime
    client_address: str | None = None
