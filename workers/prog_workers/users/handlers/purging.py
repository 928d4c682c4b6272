"""Clearing away credentials that are past their time."""

from __future__ import annotations

from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.users import PurgeCredentials
from prog_workers.users import errors, rules, store
from prog_workers.users.handlers.domain import users

BATCH: Final = 2000


@users.handles(PurgeCredentials)
async def purge_credentials(command: PurgeCredentials, tx: Transaction) -> None:
    """Deletes a batch of each kind, so that no transaction is long, and sends itself again while there is more."""
    if not is_process(tx.actor):
        raise errors.not_permitted()
    before = tx.now - rules.CREDENTIALS_KEPT
    deleted = (
        await store.purge_sessions(tx, before, BATCH),
        await store.purge_link_tokens(tx, before, BATCH),
    )
    if BATCH in deleted:
        tx.send(command)
