"""The domain object, and what its use cases share."""

from __future__ import annotations

from prog_broker.domain import Domain
from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_kit import secrets
from prog_workers.users import errors, store

users = Domain("users")


def open_sealed(tx: Transaction, sealed: str, purpose: str, field: str) -> str:
    """The secret in a command's `sealed_…` field. Raises Invalid for `field` when it does not open."""
    try:
        return tx.sealer.open(sealed, purpose)
    except secrets.SealError:
        raise errors.unreadable_secret(field) from None


async def require_self(tx: Transaction, user_id: str) -> None:
    """Refuses an actor who is neither this person, nor an operator, nor a process of the platform."""
    if tx.actor == user_id or is_process(tx.actor):
        return
    if tx.actor is None or await store.platform_role(tx, tx.actor) != "operator":
        raise errors.not_permitted()
