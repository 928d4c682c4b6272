"""Letting go of what tenants do not need any more: invitations that ended long ago, and pictures that nobody shows.

Each is a batch of whichever tenants' rows, so that no transaction is long, and asks for the next one.
"""

from __future__ import annotations

from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.tenants import ForgetOldInvitations, ForgetOldLogos
from prog_workers.tenants import errors
from prog_workers.tenants.handlers.domain import tenants
from prog_workers.tenants.store import retention

INVITATIONS: Final = 2000
LOGOS: Final = 200


@tenants.handles(ForgetOldInvitations)
async def forget_old_invitations(command: ForgetOldInvitations, tx: Transaction) -> ForgetOldInvitations | None:
    if not is_process(tx.actor):
        raise errors.not_permitted()
    forgotten = await retention.forget_old_invitations(tx, command.ended_before, INVITATIONS)
    return command if forgotten == INVITATIONS else None


@tenants.handles(ForgetOldLogos)
async def forget_old_logos(command: ForgetOldLogos, tx: Transaction) -> ForgetOldLogos | None:
    if not is_process(tx.actor):
        raise errors.not_permitted()
    return command if await retention.forget_old_logos(tx, command.unused_since, LOGOS) == LOGOS else None
