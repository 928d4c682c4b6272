"""What follows where somebody is an owner of a tenant no more, however that came."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.messages import Event
from prog_workers.tenants import store
from prog_workers.tenants.handlers.domain import updated
from prog_workers.tenants.handlers.sign_on import owners_changed


async def owner_gone(tx: Transaction, user_id: str) -> list[Event]:
    """They sign on as all do, and what was written to them, such as what the tenant pays, is to another owner."""
    told: list[Event] = [*await owners_changed(tx)]
    return [*told, await updated(tx, "owner")] if await store.hand_over(tx, user_id) else told
