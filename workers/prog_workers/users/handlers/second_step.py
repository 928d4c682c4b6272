"""The second step of a sign-in, and the proof that somebody who is signed in is there now.

A code is spent in the transaction that opens the session, by a compare-and-set on its row. In the same transaction the
sign-in that waits is looked at again: not completed, not too old, not given up after wrong codes, its account active.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.errors import Denied
from prog_contracts.messages import Event
from prog_contracts.passkeys import PasskeyFailure
from prog_contracts.second_factors import (
    CompleteSignIn,
    RecoveryCodeUsed,
    SecondFactorFailed,
    SecondFactorGuessesRefused,
    StepUp,
    StepUpDenied,
)
from prog_contracts.users import SecondFactor, SessionEnded, SignInMethod
from prog_kit import logging, secrets
from prog_kit.passkeys import Purpose, bound_to_sign_in
from prog_workers.users import errors, passwords, recovery_codes, rules, store, totp
from prog_workers.users.handlers.domain import open_sealed, users
from prog_workers.users.handlers.passkeys import Refused, prove, refusal_of
from prog_workers.users.handlers.sessions import PENDING_DIGEST, open_session

log = logging.get("prog_workers.users.second_step")


@dataclass(frozen=True, slots=True)
class Proof:
    """A code that somebody presents; `code_hash` is that of a recovery code, where it could be one.

    Of a passkey it is the answer, to a challenge for this `purpose` that is bound to this sign-in or session.
    """

    method: SecondFactor
    code: str
    purpose: Purpose
    bound_to: str
    code_hash: str | None = None


@dataclass(frozen=True, slots=True)
class PasswordShown:
    """A password that somebody gave, and the hash that it was compared with."""

    stored_hash: str | None
    right: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a code or passkey is not good: for the record, and for whoever presented it."""

    events: tuple[Event, ...]
    error: Denied


@users.performs(CompleteSignIn)
async def complete_sign_in(command: CompleteSignIn, work: Work) -> Finish:
    """Opens the session for a good code. A failure is recorded too, and counts against the sign-in that waits."""
    async with work.transaction() as tx:
        token = open_sealed(tx, command.sealed_token, secrets.TOKEN, "mfa_token")
        waits = await store.sign_in_waits(tx, tx.sealer.digests(token, PENDING_DIGEST), command.user_id)
    presented = Proof(command.method, command.sealed_code, "second_step", bound_to_sign_in(token))
    proof = await _opened(work, command.user_id, presented, hashed=waits)

    async def record(tx: Transaction) -> Outcome:
        user = await store.user_by_id(tx, command.user_id)
        if user is None:
            raise errors.sign_in_over()
        digests = tx.sealer.digests(token, PENDING_DIGEST)
        pending = await store.pending_sign_in(tx, digests, user.user_id)
        good = pending is not None and rules.pending_sign_in_is_good(pending.expires_at, pending.wrong_codes, tx.now)
        if pending is None or not good or user.status != "active":
            over = _failed(user, proof, "sign_in_over", command.client_address)
            return Reply(None, over, error=errors.sign_in_over())
        spent = await _spend(tx, user, proof, command.client_address)
        if isinstance(spent, Refusal):
            await store.count_wrong_code(tx, digests)
            return Reply(None, *spent.events, *await _told(tx, user, proof), error=spent.error)
        await store.spend_pending_sign_in(tx, digests)
        return await open_session(
            tx,
            user,
            pending.method,
            command,
            *spent,
            second_factor=proof.method,
            signed_on=pending.sign_on_tenant_id,
        )

    return record


@users.performs(StepUp)
async def step_up(command: StepUp, work: Work) -> Finish:
    """Opens a session in place of the one in use, whose id is then worth nothing to whoever got hold of it.

    A person with a second factor proves that: who knows the password and got hold of a session has both already.
    """
    user_id, used = command.user_id, command.by_session_id
    if command.method == "password":
        proof: Proof | PasswordShown = await _shown_password(work, command)
    else:
        proof = await _opened(work, user_id, Proof(command.method, command.sealed_proof, "step_up", used))

    async def record(tx: Transaction) -> Outcome:
        if tx.actor != user_id:
            raise errors.not_permitted()
        user = await store.user_by_id(tx, user_id)
        before = await store.live_session(tx, used, user_id)
        if user is None or before is None or user.status != "active":
            raise errors.session_not_found()
        denied = StepUpDenied(
            user_id=user_id, by_session_id=used, command=StepUp.TYPE, client_address=command.client_address
        )
        if isinstance(proof, PasswordShown):
            error = await _password_refusal(tx, user, proof)
            if error is not None:
                return Reply(None, denied, error=error)
            return await replaced(tx, user, before, "password", None)
        spent = await _spend(tx, user, proof, command.client_address)
        if isinstance(spent, Refusal):
            return Reply(None, denied, *spent.events, *await _told(tx, user, proof), error=spent.error)
        if proof.method == "passkey":
            return await replaced(tx, user, before, "passkey", None, *spent)
        return await replaced(tx, user, before, before.method, proof.method, *spent)

    async def replaced(
        tx: Transaction,
        user: store.User,
        before: rules.Authentication,
        method: SignInMethod,
        factor: SecondFactor | None,
        *spent: Event,
    ) -> Reply:
        ended = SessionEnded(user_id=user_id, session_id=used, reason="signed_out")
        return await open_session(
            tx,
            user,
            method,
            command,
            ended,
            *spent,
            second_factor=factor,
            signed_on=before.sign_on_tenant_id,
            replacing=used,
        )

    return record


async def _shown_password(work: Work, command: StepUp) -> PasswordShown:
    """The password that somebody gave, compared. Raises Denied for anybody but the person."""
    async with work.transaction() as tx:
        if tx.actor != command.user_id:
            raise errors.not_permitted()
        password = open_sealed(tx, command.sealed_proof, secrets.PASSWORD, "password")
        person = await store.user_by_id(tx, command.user_id)
        stored_hash = None if person is None else await store.password_hash(tx, person.email)
    possible = rules.may_try(password)
    verdict = await passwords.verify(stored_hash if possible else None, password if possible else "-")
    return PasswordShown(stored_hash, verdict.right)


async def _password_refusal(tx: Transaction, user: store.User, shown: PasswordShown) -> Denied | None:
    """Why a password proves nothing here; it may have changed while its hash was computed."""
    if await store.has_second_factor(tx, user.user_id):
        return errors.second_factor_required()
    if shown.right and await store.password_hash(tx, user.email) == shown.stored_hash:
        return None
    return errors.wrong_password("password")


async def _opened(work: Work, user_id: str, proof: Proof, *, hashed: bool = True) -> Proof:
    """The code of a proof that came sealed; that of a recovery code `hashed` too, outside of any transaction.

    Not for whoever comes without a sign-in that waits: the time that it takes tells whether there are recovery codes.
    """
    async with work.transaction() as tx:
        code = open_sealed(tx, proof.code, secrets.CODE, "code")
        salt = await store.recovery_salt(tx, user_id) if hashed and proof.method == "recovery_code" else None
    form = recovery_codes.kept_form(code)
    if salt is None or form is None:
        return replace(proof, code=code)
    return replace(proof, code=code, code_hash=await passwords.hash_code(form, salt))


async def _spend(
    tx: Transaction, user: store.User, proof: Proof, client_address: str | None
) -> tuple[Event, ...] | Refusal:
    """Spends a code; what is to be told of it, or why it is not good. The account is locked by whoever calls."""
    if proof.method == "totp":
        return await _spend_totp(tx, user, proof, client_address)
    if proof.method == "passkey":
        proven = await prove(tx, user, proof.code, proof.purpose, proof.bound_to, client_address)
        if not isinstance(proven, Refused):
            return ()
        failed = _failed(user, proof, proven.reason, client_address)
        return Refusal((failed, *proven.events), refusal_of(proven.reason))
    if proof.code_hash is None or not await store.spend_recovery_code(tx, user.user_id, proof.code_hash):
        return Refusal((_failed(user, proof, "wrong_code", client_address),), errors.wrong_recovery_code())
    used = RecoveryCodeUsed(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        used_at=tx.now,
        codes_left=await store.codes_left(tx, user.user_id),
        client_address=client_address,
    )
    return (used,)


async def _told(tx: Transaction, user: store.User, proof: Proof) -> list[Event]:
    """Counts a wrong code; that there are many is told once a day. A passkey cannot be guessed."""
    if proof.method == "passkey":
        return []
    guesses = await store.count_guess(tx, user.user_id, rules.GUESSES_WINDOW)
    if not rules.tells_of_guesses(guesses.wrong_codes, guesses.told_at, tx.now):
        return []
    await store.note_told_of_guesses(tx, user.user_id)
    refused = SecondFactorGuessesRefused(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        since=guesses.since,
        wrong_codes=guesses.wrong_codes,
    )
    return [refused]


async def _spend_totp(
    tx: Transaction, user: store.User, proof: Proof, client_address: str | None
) -> tuple[Event, ...] | Refusal:
    wrong = Refusal((_failed(user, proof, "wrong_code", client_address),), errors.wrong_code())
    factor = await store.totp_factor(tx, user.user_id)
    if factor is None:
        return wrong
    try:
        secret = tx.sealer.open(factor.sealed_secret, secrets.TOTP)
    except secrets.SealError:
        log.warning("an authenticator's secret does not open, its person needs a recovery code", user_id=user.user_id)
        return wrong
    match = totp.match(secret, proof.code, tx.now, last_step=factor.last_step)
    if match.verdict == "wrong_code":
        return wrong
    spent = match.verdict == "good" and await store.spend_totp_step(tx, user.user_id, factor.sealed_secret, match.step)
    return () if spent else Refusal((_failed(user, proof, "used_before", client_address),), errors.used_code())


def _failed(
    user: store.User,
    proof: Proof,
    reason: Literal["wrong_code", "used_before", "sign_in_over"] | PasskeyFailure,
    address: str | None,
) -> SecondFactorFailed:
    return SecondFactorFailed(user_id=user.user_id, method=proof.method, reason=reason, client_address=address)
