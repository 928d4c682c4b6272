"""The end of an account, and the way back from it (infra/adr/0025-end-of-an-account.md).

A deletion has a grace period. When that is over the person is out; tenants lets them go from wherever they are
members, or tells that a tenant would have no owner, and then the account stays. A day after the end every domain
forgets whom the id stood for: by then the last mail has gone out, and what was tried again has come to an end.
"""

from __future__ import annotations

from typing import Any

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.email import SendMail
from prog_contracts.erasure import (
    DeleteUser,
    EraseUser,
    ForgetMember,
    ForgetPerson,
    ForgetRecipient,
    ForgetUser,
    Person,
    PersonReleased,
    PersonRetained,
    RestoreUser,
    UserDeletionRequested,
    UserDeletionStopped,
    UserLeaving,
    UserRestored,
)
from prog_contracts.ids import new_id
from prog_contracts.users import UserDeleted
from prog_kit import secrets
from prog_workers.users import errors, links, rules, store
from prog_workers.users.handlers.domain import close_sessions, operator_refusal, require_self, step_up_missing, users


@users.handles(DeleteUser)
async def delete_user(command: DeleteUser, tx: Transaction) -> Outcome:
    """Begins the grace period, in which all goes on but for the other sessions. The edge has asked whether a tenant
    would be left without an owner; whether that is so counts at the end."""
    own = tx.actor == command.user_id
    reason = None
    if not own:
        reason = rules.checked_reason(command.reason or "")
        if reason is None:
            raise errors.reason_needed()
        refusal = await operator_refusal(tx, command.user_id, command.by_session_id, DeleteUser)
        if refusal is not None:
            return refusal
    user = await _account(tx, command.user_id)
    if own:
        if command.by_session_id is None:
            raise errors.session_not_found()
        refusal = await step_up_missing(tx, user.user_id, command.by_session_id, DeleteUser)
        if refusal is not None:
            return refusal
    begun = await store.deletion(tx, user.user_id)
    requested = UserDeletionRequested(
        user_id=user.user_id,
        erase_at=tx.now + rules.DELETION_GRACE if begun is None else begun.erase_at,
        by="person" if own else "operator",
        reason=reason,
    )
    if begun is not None:
        return Reply(requested)
    await store.begin_deletion(tx, user.user_id, requested.erase_at)
    await tx.schedule(_timer("erase", user.user_id), EraseUser(user_id=user.user_id), requested.erase_at)
    kept = command.by_session_id if own else None
    ended = await close_sessions(tx, user.user_id, "revoked", but=kept)
    _mail(tx, user, "requested" if own else "requested_by_operator", erase_at=requested.erase_at)
    return requested.model_copy(update={"sessions_ended": ended})


@users.handles(RestoreUser)
async def restore_user(command: RestoreUser, tx: Transaction) -> UserRestored:
    """Takes the deletion back."""
    await require_self(tx, command.user_id)
    user = await _account(tx, command.user_id)
    begun = await store.deletion(tx, user.user_id)
    if begun is None:
        raise errors.not_being_deleted()
    if begun.leaving:
        raise errors.account_ending()
    await store.stop_deletion(tx, user.user_id)
    await tx.unschedule(_timer("erase", user.user_id))
    _mail(tx, user, "restored")
    return UserRestored(user_id=user.user_id)


@users.handles(EraseUser)
async def end_grace_period(command: EraseUser, tx: Transaction) -> UserLeaving | None:
    """Told early, it comes again; told for an account that was restored, or twice, it does nothing."""
    user = await store.user_by_id(tx, command.user_id)
    begun = None if user is None else await store.deletion(tx, command.user_id)
    if begun is None or begun.leaving:
        return None
    if tx.now < begun.erase_at:
        await tx.schedule(_timer("erase", command.user_id), command, begun.erase_at)
        return None
    await store.begin_leaving(tx, command.user_id)
    await close_sessions(tx, command.user_id, "revoked")
    await links.take_back(tx, command.user_id)
    return UserLeaving(user_id=command.user_id)


@users.handles(PersonRetained)
async def keep_account(event: PersonRetained, tx: Transaction) -> UserDeletionStopped | None:
    """The account is again what it was, and its person learns why."""
    user = await _leaving(tx, event.user_id)
    if user is None:
        return None
    await store.stop_deletion(tx, user.user_id)
    _mail(tx, user, "stopped", tenant_names=list(event.tenant_names))
    return UserDeletionStopped(user_id=user.user_id, tenant_ids=event.tenant_ids)


@users.handles(PersonReleased)
async def erase_account(event: PersonReleased, tx: Transaction) -> UserDeleted | None:
    """Deletes the account with all that refers to it, and has the person forgotten in a day."""
    user = await _leaving(tx, event.user_id)
    if user is None:
        return None
    person = Person(user_id=user.user_id, email=user.email, name=user.name)
    sealed = tx.sealer.seal(person.model_dump_json(), secrets.PERSON)
    forget = ForgetUser(user_id=user.user_id, sealed_person=sealed)
    await tx.schedule(_timer("forget", user.user_id), forget, tx.now + rules.FORGOTTEN_AFTER)
    _mail(tx, user, "done")
    await store.erase_user(tx, user.user_id)
    return UserDeleted(user_id=user.user_id)


@users.handles(ForgetUser)
async def forget_user(command: ForgetUser, tx: Transaction) -> None:
    """The log comes last: it takes out what the commands before it say, too."""
    if await store.user_by_id(tx, command.user_id) is not None:
        raise errors.account_exists()
    for model in (ForgetRecipient, ForgetMember, ForgetPerson):
        tx.send(model(user_id=command.user_id, sealed_person=command.sealed_person))


async def _account(tx: Transaction, user_id: str) -> store.User:
    user = await store.user_by_id(tx, user_id)
    if user is None:
        raise errors.user_not_found()
    return user


async def _leaving(tx: Transaction, user_id: str) -> store.User | None:
    """An account whose grace period is over, locked; None for any other."""
    user = await store.user_by_id(tx, user_id)
    begun = None if user is None else await store.deletion(tx, user_id)
    return user if begun is not None and begun.leaving else None


def _timer(what: str, user_id: str) -> str:
    return f"{what}:{user_id}"


def _mail(tx: Transaction, user: store.User, step: str, **data: Any) -> None:
    """Tells the holder of the mailbox, who may not be the one who asked."""
    data = {"step": step, **data}
    tx.send(SendMail(mail_id=new_id("mail"), template="account_deletion", to=user.email, to_name=user.name, data=data))
