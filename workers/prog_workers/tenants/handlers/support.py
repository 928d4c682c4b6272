"""A tenant's trail tells when the platform's support acts in the name of one of its members."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.impersonation import (
    ImpersonationBegan,
    ImpersonationEnded,
    MemberImpersonationBegan,
    MemberImpersonationEnded,
)
from prog_workers.tenants import store
from prog_workers.tenants.handlers.domain import tenants


@tenants.handles(ImpersonationBegan)
async def tell_beginning(event: ImpersonationBegan, tx: Transaction) -> None:
    for membership in await store.memberships_of(tx, event.user_id):
        told = MemberImpersonationBegan(
            tenant_id=membership.tenant_id,
            user_id=event.user_id,
            impersonation_id=event.impersonation_id,
            operator_id=event.operator_id,
            expires_at=event.expires_at,
        )
        tx.send(told, tenant_id=membership.tenant_id)


@tenants.handles(ImpersonationEnded)
async def tell_end(event: ImpersonationEnded, tx: Transaction) -> None:
    for membership in await store.memberships_of(tx, event.user_id):
        told = MemberImpersonationEnded(
            tenant_id=membership.tenant_id,
            user_id=event.user_id,
            impersonation_id=event.impersonation_id,
            operator_id=event.operator_id,
            end=event.end,
        )
        tx.send(told, tenant_id=membership.tenant_id)
