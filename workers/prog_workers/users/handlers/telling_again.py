"""Sign-outs that clients did not hear of, sent again because an operator says so."""

from __future__ import annotations

from typing import Final

from prog_broker.outcome import Reply
from prog_broker.transaction import Transaction
from prog_contracts.oauth import LogoutNoticesResent, ResendLogoutNotices
from prog_workers.users import errors, store
from prog_workers.users.handlers.domain import users
from prog_workers.users.store import logouts

BATCH: Final = 1000


@users.handles(ResendLogoutNotices)
async def resend_logout_notices(command: ResendLogoutNotices, tx: Transaction) -> Reply:
    """Has the courier begin anew with what it had given up: a batch, the oldest first. What a client has heard is not
    among it, and what is on its way again is not sent twice, however often somebody asks."""
    if tx.actor is None or await store.platform_role(tx, tx.actor) != "operator":
        raise errors.not_permitted()
    count = await logouts.resend_failed(tx, BATCH)
    told = (LogoutNoticesResent(count=count),) if count else ()
    more = count == BATCH and await logouts.has_failed(tx)
    return Reply({"resent": count, "more": more}, *told)
