"""Keys under which tenants' secrets rest, and what rests under them.

A night after a rotation of the platform's own keys every tenant's key is wrapped anew, and what a tenant's key has not
sealed yet is sealed by it.
"""

from __future__ import annotations

from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.tenants import SealTenantSecrets, WrapTenantKeys
from prog_kit.logging import get
from prog_kit.secrets import SealError, sign_on_purpose
from prog_kit.tenant_secrets import CLIENT_SECRET, rotate_key, tenant_cipher, wrap_anew
from prog_workers.tenants import errors, store
from prog_workers.tenants.handlers.domain import tenants

BATCH: Final = 500

_log = get("prog.tenants")


@tenants.handles(WrapTenantKeys)
async def wrap_tenant_keys(command: WrapTenantKeys, tx: Transaction) -> WrapTenantKeys | SealTenantSecrets:
    """A batch, so that no transaction is long; it asks for the next one. A key that does not open holds up no other."""
    if not is_process(tx.actor):
        raise errors.not_permitted()
    reached = await wrap_anew(tx.connection, tx.sealer, BATCH, (command.after_tenant, command.after_number))
    if reached is None:
        return SealTenantSecrets()
    return WrapTenantKeys(after_tenant=reached[0], after_number=reached[1])


@tenants.handles(SealTenantSecrets)
async def seal_tenant_secrets(command: SealTenantSecrets, tx: Transaction) -> SealTenantSecrets | None:
    """A batch too. What does not open stays, and is told in the log: its tenant has to enter it anew."""
    if not is_process(tx.actor):
        raise errors.not_permitted()
    found = await store.tenants_sealed_under_platform(tx, command.after, BATCH)
    for tenant_id in found:
        async with store.in_tenant(tx, tenant_id) as own:
            await _seal_client_secret(own)
    return SealTenantSecrets(after=found[-1]) if len(found) == BATCH else None


async def _seal_client_secret(tx: Transaction) -> None:
    kept = await store.sign_on(tx)
    if kept is None or kept.sealed_under == "tenant":
        return
    try:
        secret = tx.sealer.open(kept.sealed_client_secret, sign_on_purpose(tx.tenant_id))
        cipher = await tenant_cipher(tx.connection, tx.sealer, tx.tenant_id)
    except SealError:
        _log.warning("a tenant's client secret does not open and was left as it is", tenant_id=tx.tenant_id)
        return
    await store.seal_sign_on(tx, cipher.seal(secret, CLIENT_SECRET))


async def own_seal(tx: Transaction, sealed: str) -> str:
    """A client secret that came sealed for this tenant, under the tenant's own key; under a new one where that is lost.

    Raises Invalid for what does not open.
    """
    try:
        secret = tx.sealer.open(sealed, sign_on_purpose(tx.tenant_id))
    except SealError:
        raise errors.unreadable_client_secret() from None
    try:
        cipher = await tenant_cipher(tx.connection, tx.sealer, tx.tenant_id)
    except SealError:
        _log.warning("a tenant's key does not open, a new one is made", tenant_id=tx.tenant_id)
        cipher = await rotate_key(tx.connection, tx.sealer, tx.tenant_id)
    return cipher.seal(secret, CLIENT_SECRET)
