"""A person ends sessions of theirs. Whoever merely got hold of an old session cannot shut the others out with it."""

from __future__ import annotations

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.users import OtherSessionsEnded, RevocationDenied, RevokeSessions, SessionEnded
from prog_workers.users import errors, rules, store
from prog_workers.users.handlers.domain import close_session, close_sessions, users


@users.handles(RevokeSessions)
async def revoke_sessions(command: RevokeSessions, tx: Transaction) -> Outcome:
    """Ends one session, or all but the one in use. Any but the one in use needs a fresh sign-in (ASVS 5.0, 7.5.2)."""
    user_id, used = command.user_id, command.by_session_id
    if tx.actor != user_id:
        raise errors.not_permitted()
    # The account first, as whoever sets a password does: two who end each other's sessions then take turns.
    await store.user_by_id(tx, user_id)
    proven = await store.live_session(tx, used, user_id)
    if proven is None:
        raise errors.session_not_found()
    fresh = rules.is_fresh(proven, tx.now, has_second_factor=await store.has_second_factor(tx, user_id))
    if command.session_id != used and not fresh:
        denied = RevocationDenied(user_id=user_id, by_session_id=used)
        return Reply(None, denied, error=errors.sign_in_again())
    if command.session_id is None:
        count = await close_sessions(tx, user_id, "revoked", but=used)
        return OtherSessionsEnded(user_id=user_id, kept_session_id=used, count=count)
    if await store.session_owner(tx, command.session_id) != user_id:
        raise errors.session_not_found()
    ended = SessionEnded(user_id=user_id, session_id=command.session_id, reason="revoked")
    return ended if await close_session(tx, command.session_id, "revoked") else Reply(ended)
