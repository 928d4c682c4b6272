"""Operators of the platform act in somebody's name (infra/adr/0029-impersonation.md).

It stands on the operator's session: whatever ends that ends it, too (`domain.close_session`). The token that is given
has no successor. What may be done with it, the edge knows; and every handler that asks for the person refuses it.
"""

from __future__ import annotations

from datetime import timedelta

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.accounts import ImpersonationToken
from prog_contracts.actors import is_by_themselves, is_process
from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.impersonation import (
    BeginImpersonation,
    EndImpersonation,
    ExpireImpersonation,
    ImpersonationBegan,
)
from prog_kit import secrets
from prog_workers.users import errors, rules, store
from prog_workers.users.handlers.domain import end_impersonations, operator_refusal, users
from prog_workers.users.handlers.sessions import access_tokens
from prog_workers.users.rules.impersonation import impersonation_claims, impersonation_refusal


@users.handles(BeginImpersonation)
async def begin_impersonation(command: BeginImpersonation, tx: Transaction) -> Outcome:
    """Gives an operator, who is there now, a token in the name of somebody else, and tells that person by mail."""
    reason = rules.checked_reason(command.reason)
    if reason is None:
        raise errors.reason_needed()
    if not is_by_themselves(tx.actor):
        raise errors.not_permitted()
    assert tx.actor is not None
    user = await store.user_by_id(tx, command.user_id)
    refusal = await operator_refusal(tx, command.user_id, command.by_session_id, BeginImpersonation)
    if refusal is not None:
        return refusal
    if user is None:
        raise errors.user_not_found()
    ending = await store.deletion(tx, user.user_id) is not None
    why_not = impersonation_refusal(user.platform_role, user.status, ending=ending)
    if why_not is not None:
        raise why_not
    impersonation = store.Impersonation(
        impersonation_id=command.impersonation_id,
        user_id=user.user_id,
        operator_id=tx.actor,
        by_session_id=command.by_session_id,
        reason=reason,
        began_at=tx.now,
        expires_at=tx.now + timedelta(minutes=command.minutes),
    )
    if not await store.insert_impersonation(tx, impersonation):
        raise errors.impersonation_exists()
    timer = ExpireImpersonation(impersonation_id=impersonation.impersonation_id)
    await tx.schedule(_timer(impersonation.impersonation_id), timer, impersonation.expires_at)
    _mail(tx, user, impersonation)
    began = ImpersonationBegan(
        impersonation_id=impersonation.impersonation_id,
        user_id=user.user_id,
        operator_id=impersonation.operator_id,
        by_session_id=impersonation.by_session_id,
        reason=reason,
        began_at=impersonation.began_at,
        expires_at=impersonation.expires_at,
    )
    return Reply(await _token(tx, impersonation), began, sealed=True)


@users.handles(EndImpersonation)
async def end_impersonation(command: EndImpersonation, tx: Transaction) -> Reply:
    """Ends one, whoever of the operators began it. One that is over stays as it is."""
    if not is_process(tx.actor) and not await _is_operator(tx):
        raise errors.not_permitted()
    if await store.limit_of_impersonation(tx, command.impersonation_id) is None:
        raise errors.impersonation_not_found()
    if await end_impersonations(tx, "by_hand", impersonation_id=command.impersonation_id):
        await tx.unschedule(_timer(command.impersonation_id))
    return Reply({"impersonation_id": command.impersonation_id})


@users.handles(ExpireImpersonation)
async def expire_impersonation(command: ExpireImpersonation, tx: Transaction) -> None:
    """Records that the limit is reached. Told early, it comes again; told of one that is over, it does nothing."""
    expires_at = await store.limit_of_impersonation(tx, command.impersonation_id)
    if expires_at is None:
        return
    if tx.now < expires_at:
        await tx.schedule(_timer(command.impersonation_id), command, expires_at)
        return
    await end_impersonations(tx, "time_limit", impersonation_id=command.impersonation_id)


async def _token(tx: Transaction, impersonation: store.Impersonation) -> ImpersonationToken:
    claims = impersonation_claims(
        issuer=access_tokens.issuer,
        user_id=impersonation.user_id,
        operator_id=impersonation.operator_id,
        impersonation_id=impersonation.impersonation_id,
        token_id=secrets.new_token(16),
        now=tx.now,
        expires_at=impersonation.expires_at,
    )
    return ImpersonationToken(
        impersonation_id=impersonation.impersonation_id,
        user_id=impersonation.user_id,
        operator_id=impersonation.operator_id,
        reason=impersonation.reason,
        access_token=await access_tokens.sign(tx.connection, tx.sealer, claims),
        began_at=impersonation.began_at,
        expires_at=impersonation.expires_at,
    )


async def _is_operator(tx: Transaction) -> bool:
    return tx.actor is not None and await store.platform_role(tx, tx.actor) == "operator"


def _timer(impersonation_id: str) -> str:
    return f"expire:{impersonation_id}"


def _mail(tx: Transaction, user: store.User, impersonation: store.Impersonation) -> None:
    data = {
        "reason": impersonation.reason,
        "began_at": impersonation.began_at,
        "expires_at": impersonation.expires_at,
    }
    tx.send(SendMail(mail_id=new_id("mail"), template="impersonated", to=user.email, to_name=user.name, data=data))
