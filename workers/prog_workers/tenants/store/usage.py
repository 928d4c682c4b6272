"""SQL of a tenant's limits, and of the marks of which its owners were told."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.quotas import Limits, Percent, QuotaName


async def set_limits(tx: Transaction, limits: Limits) -> None:
    await tx.execute(
        """
        INSERT INTO tenants.limits (tenant_id, name, value)
        SELECT $1, u.name, u.value FROM unnest($2::text[], $3::bigint[]) AS u (name, value)
        ON CONFLICT (tenant_id, name) DO UPDATE SET value = EXCLUDED.value
        """,
        tx.tenant_id,
        list(limits),
        list(limits.values()),
    )


async def note_mark(tx: Transaction, quota: QuotaName, period: str, limit: int, percent: Percent) -> bool:
    """Keeps that a mark of this limit was reached in this period; False when that was known."""
    return (
        await tx.fetchval(
            """
            INSERT INTO tenants.usage_marks (tenant_id, quota, period, limit_value, percent, reached_at)
            VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING RETURNING true
            """,
            tx.tenant_id,
            quota,
            period,
            limit,
            percent,
            tx.now,
        )
        is True
    )
