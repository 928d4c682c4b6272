"""What a deleted tenant leaves behind, and how the domain that owns it deletes it: in batches, as often as is asked.

    email.owns(deleted=("email.mail_events", "email.mails"), kept={})

    @email.handles(TenantDeleted)
    async def purge(event: TenantDeleted, tx: Transaction) -> Outcome:
        return PurgeMails() if await purge_rows(tx, email.tenant_rows.deleted) else None

Every tenant-owned table is named by its domain, or here: `tests/architecture/test_purging.py` fails on one that is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from prog_broker.transaction import Transaction

BATCH: Final = 5000

KEPT: Final[Mapping[str, str]] = {
    "bus.event_log": "what happened, until the log's retention",
    "bus.inbox": "answers to commands, until purge_inbox",
    "bus.retries": "what is under way; it ends by itself",
    "bus.dead_letters": "what was given up, until purge_dead_letters",
    "bus.command_outbox": "what is under way; the relay deletes it",
    "bus.idempotency_keys": "answers to retried requests, for a day",
    "bus.timers": "dropped by each domain with what it owns",
    "bus.tenant_clocks": "where the tenant's time stands, which says when it was deleted",
}
"""Tables of the carrier that outlive a tenant, with the reason."""


async def purge_rows(tx: Transaction, tables: Sequence[str], *, batch: int = BATCH) -> bool:
    """Deletes the tenant's timers of this domain, and up to `batch` rows of each table, in this order.

    True when there may be more: then later tables, which earlier ones refer to, have been left alone. `tables` are
    names in the code, never from outside.
    """
    await tx.execute("DELETE FROM bus.timers WHERE tenant_id = $1 AND domain = $2", tx.tenant_id, tx.domain)
    await tx.execute("SELECT set_config('prog.purged_tenant', $1, true)", tx.tenant_id)
    more = await _delete(tx, tables, batch)
    # Where that raises, the setting ends with the transaction, which takes no statement any more.
    await tx.execute("SELECT set_config('prog.purged_tenant', '', true)")
    return more


async def _delete(tx: Transaction, tables: Sequence[str], batch: int) -> bool:
    for table in tables:
        status = await tx.execute(
            f"DELETE FROM {table} WHERE tenant_id = $1 AND ctid = ANY (ARRAY("
            f"SELECT ctid FROM {table} WHERE tenant_id = $1 LIMIT $2))",
            tx.tenant_id,
            batch,
        )
        if int(status.removeprefix("DELETE ")) >= batch:
            return True
    return False
