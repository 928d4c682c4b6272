"""Postings to the ledger. What they mean is in `rules.postings`."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.ids import new_id
from prog_workers.payments.rules.postings import Posting


async def post(tx: Transaction, posting: Posting) -> bool:
    """Writes a balanced transaction with all its entries; False when it was posted before."""
    transaction_id = await tx.fetchval(
        """
        INSERT INTO payments.ledger_transactions (id, tenant_id, kind, reference, occurred_at)
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT (tenant_id, kind, reference) DO NOTHING RETURNING id
        """,
        new_id("ledger_transaction"),
        tx.tenant_id,
        posting.kind,
        posting.reference,
        tx.now,
    )
    if transaction_id is None:
        return False
    accounts = [entry.account for entry in posting.entries]
    await tx.execute(
        """
        INSERT INTO payments.ledger_accounts (tenant_id, account, currency)
        SELECT $1, unnest($2::text[]), $3 ON CONFLICT DO NOTHING
        """,
        tx.tenant_id,
        accounts,
        posting.currency,
    )
    await tx.execute(
        """
        INSERT INTO payments.ledger_entries (tenant_id, transaction_id, position, account, currency, amount_minor)
        SELECT $1, $2, u.position, u.account, $3, u.amount_minor
        FROM unnest($4::text[], $5::bigint[]) WITH ORDINALITY AS u (account, amount_minor, position)
        """,
        tx.tenant_id,
        transaction_id,
        posting.currency,
        accounts,
        [entry.amount_minor for entry in posting.entries],
    )
    return True
