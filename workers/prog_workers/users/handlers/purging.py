"""Clearing away credentials that are past their time, and sealing those that stay under the newest secret key."""

from __future__ import annotations

from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.users import PurgeCredentials
from prog_kit import logging, secrets
from prog_kit.secrets import SealError
from prog_workers.users import errors, rules, store
from prog_workers.users.handlers.domain import users
from prog_workers.users.rules.clients import CODES_KEPT
from prog_workers.users.rules.impersonation import IMPERSONATIONS_KEPT
from prog_workers.users.store import authorizations

BATCH: Final = 2000

log = logging.get("prog_workers.users.purging")


@users.handles(PurgeCredentials)
async def purge_credentials(command: PurgeCredentials, tx: Transaction) -> None:
    """Deletes a batch of each kind, so that no transaction is long, and sends itself again while there is more."""
    if not is_process(tx.actor):
        raise errors.not_permitted()
    before = tx.now - rules.CREDENTIALS_KEPT
    done = (
        await store.purge_sessions(tx, before, BATCH),
        await store.purge_link_tokens(tx, before, BATCH),
        await store.purge_pending_sign_ins(tx, before, BATCH),
        await store.purge_enrolments(tx, BATCH),
        await authorizations.purge_codes(tx, tx.now - CODES_KEPT, BATCH),
        await authorizations.purge_access_tokens(tx, BATCH),
        await authorizations.purge_authorizations(tx, before, BATCH),
        await store.purge_challenges(tx, BATCH),
        await store.purge_impersonations(tx, tx.now - IMPERSONATIONS_KEPT, BATCH),
    )
    reached = None if command.sealed_up_to is None else await _seal_anew(tx, command.sealed_up_to)
    if BATCH in done or reached is not None:
        tx.send(PurgeCredentials(sealed_up_to=reached))


async def _seal_anew(tx: Transaction, after: str) -> str | None:
    """Seals a batch of secrets of authenticator apps under the newest key, of persons with ids behind `after`.

    One that does not open stays, and holds up no other. Returns how far that is; None at the end.
    """
    found = await store.totp_sealed_otherwise(tx, tx.sealer.mark, after, BATCH)
    for user_id, sealed in found:
        try:
            await store.reseal_totp(tx, user_id, tx.sealer.reseal(sealed, secrets.TOTP))
        except SealError:
            log.warning("an authenticator's secret does not open, its person needs a recovery code", user_id=user_id)
    return found[-1][0] if len(found) == BATCH else None
