"""A person's second factor: an authenticator app, and recovery codes for losing it. Passkeys are in `passkeys`.

Each change needs a session that was opened just now, with the second factor of whoever has one. A mail tells of it.
"""

from __future__ import annotations

import asyncio

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.accounts import RecoveryCodes, TotpEnrolment
from prog_contracts.second_factors import (
    ConfirmTotpEnrolment,
    MakeRecoveryCodes,
    RemoveSecondFactor,
    ResetSecondFactor,
    SecondFactorChange,
    SecondFactorChanged,
    StartTotpEnrolment,
)
from prog_kit import secrets
from prog_workers.users import errors, passwords, recovery_codes, rules, store, totp
from prog_workers.users.handlers.domain import (
    close_sessions,
    open_sealed,
    operator_refusal,
    own_account,
    step_up_missing,
    users,
)


@users.handles(StartTotpEnrolment)
async def start_totp_enrolment(command: StartTotpEnrolment, tx: Transaction) -> Reply:
    """Makes a secret and tells it, sealed, to its person. An app that is in use stays so until a code confirms."""
    user = await own_account(tx, command.user_id)
    refusal = await step_up_missing(tx, user.user_id, command.by_session_id, StartTotpEnrolment)
    if refusal is not None:
        return refusal
    secret, expires_at = totp.new_secret(), tx.now + rules.ENROLMENT_LIFETIME
    await store.keep_enrolment(
        tx, user.user_id, command.by_session_id, tx.sealer.seal(secret, secrets.TOTP), expires_at
    )
    enrolment = TotpEnrolment(secret=secret, otpauth_uri=totp.otpauth_uri(secret, user.email), expires_at=expires_at)
    return Reply(enrolment, sealed=True)


@users.performs(ConfirmTotpEnrolment)
async def confirm_totp_enrolment(command: ConfirmTotpEnrolment, work: Work) -> Finish:
    """Makes the app the person's second factor. The code that confirms it counts as used: it signs nobody in.

    Recovery codes are made where there are none; those from before stay.
    """
    async with work.transaction() as tx:
        code = open_sealed(tx, command.sealed_code, secrets.CODE, "code")
        await own_account(tx, command.user_id)
        wanted = await _confirmed_step(tx, command, code) is not None
        wanted = wanted and not await store.codes_left(tx, command.user_id)
    made = await CodeSet.made() if wanted else None

    async def record(tx: Transaction) -> Outcome:
        user = await own_account(tx, command.user_id)
        if await store.live_session(tx, command.by_session_id, user.user_id) is None:
            raise errors.session_not_found()
        confirmed = await _confirmed_step(tx, command, code)
        if confirmed is None:
            raise errors.wrong_code()
        replaced = await store.keep_totp(tx, user.user_id, confirmed)
        await store.end_enrolment(tx, user.user_id)
        codes = await made.kept_for(tx, user.user_id) if made is not None else ()
        changed = _changed(tx, user, "replaced" if replaced else "enrolled", command.client_address)
        return Reply(RecoveryCodes(recovery_codes=codes), changed, sealed=True)

    return record


@users.performs(MakeRecoveryCodes)
async def make_recovery_codes(command: MakeRecoveryCodes, work: Work) -> Finish:
    """Ten new codes in place of those from before."""
    async with work.transaction() as tx:
        refused = await _refusal(tx, command) is not None
    made = None if refused else await CodeSet.made()

    async def record(tx: Transaction) -> Outcome:
        user = await own_account(tx, command.user_id)
        refusal = await _refusal(tx, command)
        if refusal is not None:
            return refusal
        if made is None:
            raise errors.sign_in_again()
        codes = await made.kept_for(tx, user.user_id)
        changed = _changed(tx, user, "codes_made", command.client_address)
        return Reply(RecoveryCodes(recovery_codes=codes), changed, sealed=True)

    return record


@users.handles(RemoveSecondFactor)
async def remove_second_factor(command: RemoveSecondFactor, tx: Transaction) -> Outcome:
    """Takes the app away; without a passkey there is nothing left that recovery codes would stand in for."""
    refusal = await _refusal(tx, command)
    if refusal is not None:
        return refusal
    user = await own_account(tx, command.user_id)
    if not await store.drop_totp(tx, user.user_id):
        raise errors.no_second_factor()
    kept = await forget_codes_without_factor(tx, user.user_id)
    return _changed(tx, user, "app_removed" if kept else "removed", command.client_address)


@users.handles(ResetSecondFactor)
async def reset_second_factor(command: ResetSecondFactor, tx: Transaction) -> Outcome:
    """For somebody who has lost app, passkeys and codes. Their sessions end: whoever was signed in signs in anew."""
    reason = rules.checked_reason(command.reason)
    if reason is None:
        raise errors.reason_needed()
    refusal = await operator_refusal(tx, command.user_id, command.by_session_id, ResetSecondFactor)
    if refusal is not None:
        return refusal
    user = await store.user_by_id(tx, command.user_id)
    if user is None:
        raise errors.user_not_found()
    if not await store.drop_second_factor(tx, user.user_id):
        raise errors.no_second_factor()
    ended = await close_sessions(tx, user.user_id, "revoked")
    return _changed(tx, user, "removed_by_operator", None, reason=reason, sessions_ended=ended)


class CodeSet:
    """A new set of recovery codes, hashed outside of any transaction."""

    def __init__(self, codes: tuple[str, ...], salt: str, hashes: list[str]) -> None:
        self._codes = codes
        self._salt = salt
        self._hashes = hashes

    @classmethod
    async def made(cls) -> CodeSet:
        codes, salt = recovery_codes.new_set(), recovery_codes.new_salt()
        forms = [form for code in codes if (form := recovery_codes.kept_form(code)) is not None]
        return cls(codes, salt, await asyncio.gather(*(passwords.hash_code(form, salt) for form in forms)))

    async def kept_for(self, tx: Transaction, user_id: str) -> tuple[str, ...]:
        """Puts the set in place of the one from before; the codes in clear, which nobody can tell again."""
        await store.replace_recovery_codes(tx, user_id, self._salt, self._hashes)
        return self._codes


async def forget_codes_without_factor(tx: Transaction, user_id: str) -> bool:
    """Whether there is still a second factor; where there is none, what stands in for one goes, too."""
    if await store.has_second_factor(tx, user_id):
        return True
    await store.drop_second_factor(tx, user_id)
    return False


async def _refusal(tx: Transaction, command: MakeRecoveryCodes | RemoveSecondFactor) -> Reply | None:
    """Why a person may not change their second factor now; None when they may. Raises NotFound where there is none."""
    user_id = command.user_id
    await own_account(tx, user_id)
    refusal = await step_up_missing(tx, user_id, command.by_session_id, type(command))
    if refusal is None and not await store.has_second_factor(tx, user_id):
        raise errors.no_second_factor()
    return refusal


async def _confirmed_step(tx: Transaction, command: ConfirmTotpEnrolment, code: str) -> store.TotpFactor | None:
    """The authenticator that a code confirms, with the time step that it spends; None for a wrong code.

    Raises NotFound when this session began no enrolment, or too long ago.
    """
    begun = await store.enrolment(tx, command.user_id, command.by_session_id)
    if begun is None:
        raise errors.no_enrolment()
    match = totp.match(tx.sealer.open(begun.sealed_secret, secrets.TOTP), code, tx.now)
    return store.TotpFactor(begun.sealed_secret, match.step) if match.verdict == "good" else None


def _changed(
    tx: Transaction,
    user: store.User,
    change: SecondFactorChange,
    client_address: str | None,
    *,
    reason: str | None = None,
    sessions_ended: int = 0,
) -> SecondFactorChanged:
    return SecondFactorChanged(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        change=change,
        changed_at=tx.now,
        reason=reason,
        sessions_ended=sessions_ended,
        client_address=client_address,
    )
