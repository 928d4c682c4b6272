"""Messages of the users domain about second factors: authenticator apps (TOTP, RFC 6238) and recovery codes.

Passkeys have messages of their own (`prog_contracts.passkeys`); where they prove the same as a code, they do so here.
Secrets and codes travel in `sealed_…` fields and in sealed replies (`prog_contracts.accounts`); no event holds one.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from prog_contracts.ids import SessionId, UserId
from prog_contracts.messages import Command, Event, command, event
from prog_contracts.passkeys import PasskeyFailure
from prog_contracts.users import SecondFactor, SignInMethod


@command("prognetwork.users.complete_sign_in", key="user_id")
class CompleteSignIn(Command):
    """Prove the second factor of a sign-in that waits for it, and open the session. The reply, sealed, is a `TokenSet`.

    `user_id` is the person that the token names. For a passkey `sealed_code` holds a `PasskeyAnswer`.
    """

    user_id: UserId
    sealed_token: str
    method: SecondFactor
    sealed_code: str
    client_address: str | None = None
    user_agent: str | None = None


@command("prognetwork.users.step_up", key="user_id")
class StepUp(Command):
    """A signed-in person proves again who they are, and gets a session opened just now in place of the one in use.

    With the second factor where they have one, else with the password. For a passkey `sealed_proof` holds a
    `PasskeyAnswer`. The reply, sealed, is a `TokenSet`.
    """

    user_id: UserId
    by_session_id: SessionId
    method: Literal["password"] | SecondFactor
    sealed_proof: str
    client_address: str | None = None
    user_agent: str | None = None


@command("prognetwork.users.start_totp_enrolment", key="user_id")
class StartTotpEnrolment(Command):
    """Make a secret for an authenticator app, which counts once confirmed. The reply, sealed, is a `TotpEnrolment`."""

    user_id: UserId
    by_session_id: SessionId


@command("prognetwork.users.confirm_totp_enrolment", key="user_id")
class ConfirmTotpEnrolment(Command):
    """Prove with a code that the app has the secret: from now on sign-in asks for one. It replaces an app from before.

    The reply, sealed, is `RecoveryCodes`.
    """

    user_id: UserId
    by_session_id: SessionId
    sealed_code: str
    client_address: str | None = None


@command("prognetwork.users.make_recovery_codes", key="user_id")
class MakeRecoveryCodes(Command):
    """Make ten new recovery codes; those from before are worthless. The reply, sealed, is `RecoveryCodes`."""

    user_id: UserId
    by_session_id: SessionId
    client_address: str | None = None


@command("prognetwork.users.remove_second_factor", key="user_id")
class RemoveSecondFactor(Command):
    """A person takes their authenticator app away, and recovery codes with it unless there is a passkey."""

    user_id: UserId
    by_session_id: SessionId
    client_address: str | None = None


@command("prognetwork.users.reset_second_factor", key="user_id")
class ResetSecondFactor(Command):
    """An operator takes all second factors of somebody away who has lost them: app, passkeys, codes. Sessions end.

    `by_session_id` is the operator's session; a process of the platform has none.
    """

    user_id: UserId
    reason: str
    by_session_id: SessionId | None = None


@event("prognetwork.users.second_factor_asked", key="user_id")
class SecondFactorAsked(Event):
    """A first factor was right: the sign-in waits for the second one."""

    user_id: UserId
    method: SignInMethod
    client_address: str | None = None


@event("prognetwork.users.second_factor_guesses_refused", key="user_id")
class SecondFactorGuessesRefused(Event):
    """Many wrong codes came within a day, each from somebody who had shown the first factor. Told once a day."""

    user_id: UserId
    email: str
    name: str
    since: datetime
    wrong_codes: int


@event("prognetwork.users.second_factor_failed", key="user_id")
class SecondFactorFailed(Event):
    """A code or passkey was not good. `used_before` is a code of a time step that was spent; `sign_in_over` is any code
    for a sign-in that no longer waits: completed, too old, or given up after too many wrong codes."""

    user_id: UserId
    method: SecondFactor
    reason: Literal["wrong_code", "used_before", "sign_in_over"] | PasskeyFailure
    client_address: str | None = None


SecondFactorChange = Literal["enrolled", "replaced", "removed", "app_removed", "removed_by_operator", "codes_made"]


@event("prognetwork.users.second_factor_changed", key="user_id")
class SecondFactorChanged(Event):
    """`reason` is what the operator gave who took it away. `sessions_ended` counts those that ended with it.

    `app_removed` is told where passkeys stay, and with them the recovery codes.
    """

    user_id: UserId
    email: str
    name: str
    change: SecondFactorChange
    changed_at: datetime
    reason: str | None = None
    sessions_ended: int = 0
    client_address: str | None = None


@event("prognetwork.users.recovery_code_used", key="user_id")
class RecoveryCodeUsed(Event):
    """`codes_left` are those that are good still."""

    user_id: UserId
    email: str
    name: str
    used_at: datetime
    codes_left: int
    client_address: str | None = None


@event("prognetwork.users.step_up_denied", key="user_id")
class StepUpDenied(Event):
    """A session tried what needs a fresh proof of who is there, and had none: `command` is the type of what it tried.

    Or the proof that came was wrong, when `command` is that of the step-up itself.
    """

    user_id: UserId
    by_session_id: SessionId
    command: str
    client_address: str | None = None
