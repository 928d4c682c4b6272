"""A new password for somebody who forgot theirs, by a link in a mail.

A reset opens no session and takes no second factor away: signing in afterwards asks for all that it asked for before.
"""

from __future__ import annotations

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.messages import Message
from prog_contracts.users import EmailVerified, PasswordChanged, RequestPasswordReset, ResetPassword
from prog_kit import secrets
from prog_workers.users import links, passwords, store
from prog_workers.users.handlers.domain import close_sessions, open_sealed, users
from prog_workers.users.store import authorizations


@users.handles(RequestPasswordReset)
async def request_password_reset(command: RequestPasswordReset, tx: Transaction) -> Reply:
    """Answers alike for everybody. The edge does not even wait for this, so no time tells who has an account."""
    return await links.ask(tx, links.RESET, command.email, command.client_address, command.site_tenant_id)


@users.performs(ResetPassword)
async def reset_password(command: ResetPassword, work: Work) -> Finish:
    """Sets the password that comes with a good link, and ends all that the old one opened.

    The link proves the mailbox, so an address that was not verified yet is from now on.
    """
    async with work.transaction() as tx:
        token = open_sealed(tx, command.sealed_token, secrets.TOKEN, "token")
        password = open_sealed(tx, command.sealed_password, secrets.PASSWORD, "password")
        holder = await links.holder(tx, links.RESET, token)
    if holder is None:
        return _refusal(command, token)
    await passwords.require_good(password, email=holder.email, name=holder.name)
    password_hash = await passwords.hash_password(password)

    async def record(tx: Transaction) -> Outcome:
        user = await store.user_by_id(tx, holder.user_id)
        if user is None or not await links.spend(tx, links.RESET, token, user):
            return await _refusal(command, token)(tx)
        await store.replace_password_hash(tx, user.user_id, password_hash, changed=True)
        messages: list[Message] = [
            PasswordChanged(
                user_id=user.user_id,
                email=user.email,
                name=user.name,
                changed_at=tx.now,
                how="reset",
                sessions_ended=await close_sessions(tx, user.user_id, "revoked"),
                client_address=command.client_address,
            )
        ]
        if await store.mark_verified(tx, user.user_id, None) is not None:
            messages.append(_verified(user, tx))
        await links.take_back(tx, user.user_id)
        await store.drop_pending_sign_ins(tx, user.user_id)
        await authorizations.end_authorizations(tx, "password_changed", tx.envelope.time, user_id=user.user_id)
        return Reply({"user_id": user.user_id}, *messages)

    return record


def _refusal(command: ResetPassword, token: str) -> Finish:
    async def record(tx: Transaction) -> Outcome:
        return links.refusal(tx, links.RESET, token, command.client_address)

    return record


def _verified(user: store.User, tx: Transaction) -> EmailVerified:
    return EmailVerified(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        verified_at=tx.now,
        tenant_name=user.wanted_tenant_name,
    )
