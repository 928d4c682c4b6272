"""Passkeys: a person adds, names and removes them, and signs in with one.

To add or remove one needs a session that was opened just now, with the second factor of whoever has one. A mail tells
of both. What is signed is a challenge that the edge made (`prog_kit.passkeys`); it is answered once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pydantic import ValidationError

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.accounts import PasskeyAdded
from prog_contracts.errors import Denied
from prog_contracts.inputs import clean_name
from prog_contracts.messages import Event
from prog_contracts.passkeys import (
    AddPasskey,
    PasskeyAnswer,
    PasskeyChanged,
    PasskeyCopyRefused,
    PasskeyFailure,
    PasskeyRefused,
    RemovePasskey,
    RenamePasskey,
    SignInByPasskey,
)
from prog_kit import logging, secrets
from prog_kit.passkeys import Challenge, Purpose, RelyingParty
from prog_workers.users import ceremonies, errors, rules, store
from prog_workers.users.handlers.domain import open_sealed, own_account, step_up_missing, users
from prog_workers.users.handlers.factors import CodeSet, forget_codes_without_factor
from prog_workers.users.handlers.sessions import open_session

log = logging.get("prog_workers.users.passkeys")

parties: Final[list[RelyingParty]] = []
"""For whom passkeys are made here. `app` says so before the first message."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a passkey proves nothing, and what more is to be told of it than that."""

    reason: PasskeyFailure
    events: tuple[Event, ...] = ()


@users.performs(AddPasskey)
async def add_passkey(command: AddPasskey, work: Work) -> Finish:
    """Keeps what the person's device has made. Recovery codes are made where there are none."""
    async with work.transaction() as tx:
        name = clean_name(command.name, max_length=rules.PASSKEY_NAME_MAX_LENGTH)
        answer = open_sealed(tx, command.sealed_answer, secrets.CODE, "credential")
        user = await own_account(tx, command.user_id)
        wanted = await step_up_missing(tx, user.user_id, command.by_session_id, AddPasskey) is None
        wanted = wanted and not await store.codes_left(tx, user.user_id)
    codes = await CodeSet.made() if wanted else None

    async def record(tx: Transaction) -> Outcome:
        user = await own_account(tx, command.user_id)
        refusal = await step_up_missing(tx, user.user_id, command.by_session_id, AddPasskey)
        if refusal is not None:
            return refusal
        if await store.count_passkeys(tx, user.user_id) >= rules.PASSKEYS_MAX:
            raise errors.too_many_passkeys(rules.PASSKEYS_MAX)
        made = await _made(tx, command, answer)
        if not await store.insert_passkey(tx, user.user_id, command.passkey_id, name, made):
            raise errors.passkey_known()
        added = PasskeyAdded(
            passkey_id=command.passkey_id,
            name=name,
            backed_up=made.backed_up,
            created_at=tx.now,
            recovery_codes=await codes.kept_for(tx, user.user_id) if codes is not None else (),
        )
        changed = PasskeyChanged(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            passkey_id=command.passkey_id,
            passkey_name=name,
            change="added",
            changed_at=tx.now,
            backed_up=made.backed_up,
            client_address=command.client_address,
        )
        return Reply(added, changed, sealed=True)

    return record


@users.handles(RenamePasskey)
async def rename_passkey(command: RenamePasskey, tx: Transaction) -> Outcome:
    name = clean_name(command.name, max_length=rules.PASSKEY_NAME_MAX_LENGTH)
    user = await own_account(tx, command.user_id)
    passkey = await store.passkey(tx, user.user_id, command.passkey_id)
    if passkey is None:
        raise errors.passkey_not_found()
    await store.rename_passkey(tx, passkey.passkey_id, name)
    return PasskeyChanged(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        passkey_id=passkey.passkey_id,
        passkey_name=name,
        change="renamed",
        changed_at=tx.now,
    )


@users.handles(RemovePasskey)
async def remove_passkey(command: RemovePasskey, tx: Transaction) -> Outcome:
    user = await own_account(tx, command.user_id)
    refusal = await step_up_missing(tx, user.user_id, command.by_session_id, RemovePasskey)
    if refusal is not None:
        return refusal
    passkey = await store.passkey(tx, user.user_id, command.passkey_id)
    if passkey is None:
        raise errors.passkey_not_found()
    await store.drop_passkey(tx, passkey.passkey_id)
    await forget_codes_without_factor(tx, user.user_id)
    return PasskeyChanged(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        passkey_id=passkey.passkey_id,
        passkey_name=passkey.name,
        change="removed",
        changed_at=tx.now,
        client_address=command.client_address,
    )


@users.handles(SignInByPasskey)
async def sign_in_by_passkey(command: SignInByPasskey, tx: Transaction) -> Reply:
    """Opens the session for a good answer. A failure is recorded too, and looks the same whomever it is about."""
    answer = open_sealed(tx, command.sealed_answer, secrets.CODE, "credential")
    user = await store.user_by_id(tx, command.user_id)
    proven = await prove(tx, user, answer, "sign_in", command.bound_to, command.client_address)
    reason: PasskeyFailure
    if isinstance(proven, Refused) or user is None:
        reason = proven.reason if isinstance(proven, Refused) else "unknown_passkey"
    elif user.status != "active":
        reason = "disabled"
    elif await store.must_sign_on(tx, user):
        reason = "sign_on_only"
    else:
        return await open_session(tx, user, "passkey", command)
    refused = PasskeyRefused(user_id=command.user_id, reason=reason, client_address=command.client_address)
    more = proven.events if isinstance(proven, Refused) else ()
    return Reply(None, refused, *more, error=refusal_of(reason))


async def prove(
    tx: Transaction, user: store.User | None, answer: str, purpose: Purpose, bound_to: str, client_address: str | None
) -> store.Passkey | Refused:
    """The passkey of this person that signed the challenge, which is spent by this, whatever comes of it.

    Whoever calls has locked the account.
    """
    opened = await _answered(tx, answer, purpose, bound_to)
    if opened is None:
        return Refused("challenge_over")
    challenge, credential = opened
    try:
        credential_id = ceremonies.credential_id_of(credential)
        passkey = None if user is None else await store.passkey_of_credential(tx, user.user_id, credential_id)
        if passkey is None or user is None:
            return Refused("unknown_passkey")
        signed = ceremonies.signed(parties[0], challenge, credential, passkey.kept)
    except ceremonies.Unproven as error:
        log.info("a passkey proves nothing", why=str(error), purpose=purpose)
        return Refused("wrong_answer")
    if signed.copied:
        log.warning("a passkey counts less than before: it was copied", passkey_id=passkey.passkey_id)
        told = PasskeyCopyRefused(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            passkey_id=passkey.passkey_id,
            passkey_name=passkey.name,
            refused_at=tx.now,
            client_address=client_address,
        )
        return Refused("copied_passkey", (told,))
    await store.note_passkey_use(tx, passkey.passkey_id, signed)
    return passkey


def refusal_of(reason: PasskeyFailure) -> Denied:
    """What whoever presented a passkey is told."""
    return errors.challenge_over() if reason == "challenge_over" else errors.wrong_passkey()


async def _made(tx: Transaction, command: AddPasskey, answer: str) -> ceremonies.Made:
    """What the device has made. Raises Denied for a challenge that is over, Invalid for an answer that is not good."""
    opened = await _answered(tx, answer, "enrol", command.by_session_id)
    if opened is None:
        raise errors.challenge_over()
    challenge, credential = opened
    try:
        return ceremonies.made(parties[0], challenge, credential)
    except ceremonies.Unproven as error:
        log.info("a passkey is not kept", why=str(error))
        raise errors.passkey_not_made() from None


async def _answered(tx: Transaction, answer: str, purpose: Purpose, bound_to: str) -> tuple[Challenge, str] | None:
    """The challenge that somebody answered, spent by this, and the credential; None when it may not be answered."""
    try:
        told = PasskeyAnswer.model_validate_json(answer)
    except ValidationError:
        return None
    challenge = Challenge.opened(tx.sealer, told.token, purpose, bound_to, tx.now)
    if challenge is None or not await store.spend_challenge(tx, challenge.digest, challenge.expires_at):
        return None
    return challenge, told.credential
