"""Keys under which tenants' secrets rest: wrapped anew after a rotation of the platform's own."""

from __future__ import annotations

from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.tenants import WrapTenantKeys
from prog_kit.tenant_secrets import wrap_anew
from prog_workers.tenants import errors
from prog_workers.tenants.handlers.domain import tenants

BATCH: Final = 500


@tenants.handles(WrapTenantKeys)
async def wrap_tenant_keys(command: WrapTenantKeys, tx: Transaction) -> WrapTenantKeys | None:
    """A batch, so that no transaction is long; it sends itself again while there is more."""
    if not is_process(tx.actor):
        raise errors.not_permitted()
    return command if await wrap_anew(tx.connection, tx.sealer, BATCH) == BATCH else None
