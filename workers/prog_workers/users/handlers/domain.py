"""The domain object, and what its use cases share."""

from __future__ import annotations

from typing import Any

from prog_broker.domain import Domain, Work
from prog_broker.outcome import Reply
from prog_broker.transaction import Transaction
from prog_contracts.actors import is_by_themselves, is_process, person_of
from prog_contracts.impersonation import ImpersonationEnd, ImpersonationEnded
from prog_contracts.messages import Command
from prog_contracts.second_factors import StepUpDenied
from prog_kit import secrets
from prog_workers.users import errors, rules, store
from prog_workers.users.store import logouts

users = Domain("users")
users.owns(
    deleted=("users.oauth_client_tokens", "users.oauth_clients"),
    kept={"users.api_keys": "keys that have ended with the tenant; what they did is told by them"},
)


def open_sealed(by: Transaction | Work, sealed: str, purpose: str, field: str) -> str:
    """The secret in a command's `sealed_…` field. Raises Invalid for `field` when it does not open."""
    try:
        return by.sealer.open(sealed, purpose)
    except secrets.SealError:
        raise errors.unreadable_secret(field) from None


async def require_self(tx: Transaction, user_id: str) -> None:
    """Refuses an actor who is neither this person, nor an operator, nor a process of the platform."""
    if tx.actor == user_id or is_process(tx.actor):
        return
    if tx.actor is None or await store.platform_role(tx, tx.actor) != "operator":
        raise errors.not_permitted()


async def acting_person(tx: Transaction) -> str:
    """Who asks, where that is a person with a good account. Raises Denied for anybody else: no key makes, rolls or
    revokes keys and clients, no client does, and nobody in somebody's name."""
    person = person_of(tx.actor)
    if person is None or not is_by_themselves(tx.actor):
        raise errors.not_permitted()
    user = await store.user_by_id(tx, person)
    if user is None or user.status != "active":
        raise errors.not_permitted()
    return person


async def own_account(tx: Transaction, user_id: str) -> store.User:
    """The actor's own account, locked, for what nobody does for somebody else. Raises Denied for anybody but them."""
    if tx.actor != user_id:
        raise errors.not_permitted()
    user = await store.user_by_id(tx, user_id)
    if user is None:
        raise errors.user_not_found()
    return user


async def step_up_missing(tx: Transaction, person: str, session_id: str, command: type[Command]) -> Reply | None:
    """The refusal of a command that only a fresh session may send; None for a fresh one.

    Whoever calls has locked the account of `person`, whose session it must be. Raises NotFound when it is not, or over.
    """
    proven = await store.live_session(tx, session_id, person)
    if proven is None:
        raise errors.session_not_found()
    if rules.is_fresh(proven, tx.now, has_second_factor=await store.has_second_factor(tx, person)):
        return None
    denied = StepUpDenied(user_id=person, by_session_id=session_id, command=command.TYPE)
    return Reply(None, denied, error=errors.sign_in_again())


async def operator_refusal(
    tx: Transaction, person: str, session_id: str | None, command: type[Command]
) -> Reply | None:
    """Why somebody may not act on another's account now; None when they may: a process of the platform, or an operator
    in a fresh session, except for the own account."""
    if is_process(tx.actor):
        return None
    if tx.actor is None or tx.actor == person or session_id is None:
        raise errors.not_permitted()
    if await store.platform_role(tx, tx.actor) != "operator":
        raise errors.not_permitted()
    return await step_up_missing(tx, tx.actor, session_id, command)


async def close_session(tx: Transaction, session_id: str, reason: str, *, successor: str | None = None) -> bool:
    """Ends a session, and what its person does in others' names with it; False when it was over already.

    Clients that its person has signed in to are told, unless a `successor` of the same person takes its place.
    """
    ended = await store.end_session(tx, session_id, reason)
    if successor is None:
        await logouts.end_sign_ins_of_session(tx, session_id)
    else:
        await logouts.hand_on(tx, session_id, successor)
    await end_impersonations(tx, "session_ended", by_session_id=session_id)
    return ended


async def close_sessions(tx: Transaction, user_id: str, reason: str, *, but: str | None = None) -> int:
    """Ends all sessions of a person, except one where it is named; returns how many it ended.

    What the person does in others' names with them ends, too, and what others do in the person's; and clients that the
    person has signed in to are told.
    """
    count = await store.end_sessions(tx, user_id, reason, but=but)
    await logouts.end_sign_ins_of_person(tx, user_id, but=but)
    await end_impersonations(tx, "session_ended", operator_id=user_id, but_session=but)
    await end_impersonations(tx, "account_changed", user_id=user_id)
    return count


async def close_expired_sessions(tx: Transaction, limit: int) -> list[tuple[str, str]]:
    """Ends sessions that have run out, as `close_session` does; returns each with whose it was."""
    ended = await store.end_expired_sessions(tx, limit)
    if ended:
        ids = [session_id for session_id, _ in ended]
        await logouts.end_sign_ins_of_sessions(tx, ids)
        await end_impersonations(tx, "session_ended", by_session_ids=ids)
    return ended


async def end_impersonations(tx: Transaction, end: ImpersonationEnd, **which: Any) -> bool:
    """Ends those that `store.end_impersonations` finds, and tells of each; whether there were any."""
    found = await store.end_impersonations(tx, end, **which)
    for ended in found:
        tx.send(
            ImpersonationEnded(
                impersonation_id=ended.impersonation_id,
                user_id=ended.user_id,
                operator_id=ended.operator_id,
                end=ended.end,
                ended_at=ended.ended_at,
            )
        )
    return bool(found)
