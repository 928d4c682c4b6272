"""A signed-in person sets another password."""

from __future__ import annotations

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.second_factors import StepUpDenied
from prog_contracts.users import ChangePassword, PasswordChanged
from prog_kit import secrets
from prog_workers.users import errors, links, passwords, rules, store
from prog_workers.users.handlers.domain import close_sessions, open_sealed, step_up_missing, users
from prog_workers.users.store import authorizations


@users.performs(ChangePassword)
async def change_password(command: ChangePassword, work: Work) -> Finish:
    """Replaces the password of whoever knows it, or has signed in just now, and ends all that the old one opened.

    The session in use stays, for its person is there. Links and sign-ins under way are worth nothing afterwards.
    """
    session_id, current = command.by_session_id, None
    async with work.transaction() as tx:
        if tx.actor != command.user_id:
            raise errors.not_permitted()
        password = open_sealed(tx, command.sealed_password, secrets.PASSWORD, "password")
        if command.sealed_current_password is not None:
            current = open_sealed(tx, command.sealed_current_password, secrets.PASSWORD, "current_password")
        person = await store.user_by_id(tx, command.user_id)
        if person is None:
            raise errors.user_not_found()
        stored_hash = await store.password_hash(tx, person.email)
        may = current is not None or await step_up_missing(tx, person.user_id, session_id, ChangePassword) is None
    if current is not None:
        possible = rules.may_try(current)
        may = (await passwords.verify(stored_hash if possible else None, current if possible else "-")).right
    password_hash = ""
    if may:
        await passwords.require_good(password, email=person.email, name=person.name)
        password_hash = await passwords.hash_password(password)

    async def record(tx: Transaction) -> Outcome:
        user = await store.user_by_id(tx, command.user_id)
        if user is None or await store.live_session(tx, session_id, command.user_id) is None:
            raise errors.session_not_found()
        if current is None:
            refusal = await step_up_missing(tx, user.user_id, session_id, ChangePassword)
            if refusal is not None:
                return refusal
        if not may or await store.password_hash(tx, user.email) != stored_hash:
            denied = StepUpDenied(
                user_id=user.user_id,
                by_session_id=session_id,
                command=ChangePassword.TYPE,
                client_address=command.client_address,
            )
            return Reply(None, denied, error=errors.wrong_password("current_password"))
        await store.replace_password_hash(tx, user.user_id, password_hash, changed=True)
        await links.take_back(tx, user.user_id)
        await store.drop_pending_sign_ins(tx, user.user_id)
        await authorizations.end_authorizations(tx, "password_changed", tx.envelope.time, user_id=user.user_id)
        return PasswordChanged(
            user_id=user.user_id,
            email=user.email,
            name=user.name,
            changed_at=tx.now,
            how="change",
            sessions_ended=await close_sessions(tx, user.user_id, "revoked", but=session_id),
            client_address=command.client_address,
        )

    return record
