"""Sessions that end by themselves: unused for too long, or as old as any may get.

Nobody gets in with one from that moment on, whoever looks. Here that becomes an end like any other: it is in the audit
trail, and clients that its person has signed in to are told.
"""

from __future__ import annotations

from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.users import EndExpiredSessions, SessionEnded
from prog_workers.users import errors
from prog_workers.users.handlers.domain import close_expired_sessions, users
from prog_workers.users.store import logouts

BATCH: Final = 500


@users.handles(EndExpiredSessions)
async def end_expired_sessions(command: EndExpiredSessions, tx: Transaction) -> list[SessionEnded]:
    """Ends a batch, so that no transaction is long, and sends itself again while there is more. Nobody sends again by
    then what clients did not hear of long ago."""
    if not is_process(tx.actor):
        raise errors.not_permitted()
    await logouts.drop_failed(tx, BATCH)
    ended = await close_expired_sessions(tx, BATCH)
    if len(ended) == BATCH:
        tx.send(EndExpiredSessions())
    return [SessionEnded(user_id=user_id, session_id=session_id, reason="expired") for session_id, user_id in ended]
