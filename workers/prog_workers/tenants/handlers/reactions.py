"""What other domains' events mean for tenants."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.ids import new_id
from prog_contracts.payments import (
    PaymentProcessed,
    SubscriptionCanceled,
    SubscriptionCreated,
    SubscriptionEvent,
    SubscriptionUpdated,
)
from prog_contracts.quotas import limits_of
from prog_contracts.tenants import BillingChanged, CreateTenant, MemberJoined, TenantRole
from prog_contracts.users import EmailVerified, UserCreated, UserUpdated
from prog_workers.tenants import rules, store
from prog_workers.tenants.handlers.domain import tenants


@tenants.handles(UserCreated)
async def admit_staff(event: UserCreated, tx: Transaction) -> MemberJoined | None:
    """An operator of the platform may act in every tenant, and owns the platform's own."""
    if event.platform_role is None:
        return None
    await store.put_staff(tx, event.user_id, event.platform_role)
    role: TenantRole = "owner" if event.platform_role == "operator" else "viewer"
    if not await store.insert_member(tx, event.user_id, email=event.email, name=event.name, role=role):
        return None
    return MemberJoined(tenant_id=tx.tenant_id, user_id=event.user_id, email=event.email, name=event.name, role=role)


@tenants.handles(EmailVerified)
async def create_wanted_tenant(event: EmailVerified, tx: Transaction) -> None:
    """Makes the organisation that somebody named at sign-up, now that the address is known to be theirs."""
    if event.tenant_name is None:
        return
    tenant_id = new_id("tenant")
    tx.send(
        CreateTenant(
            tenant_id=tenant_id,
            name=event.tenant_name,
            owner_user_id=event.user_id,
            owner_email=event.email,
            owner_name=event.name,
        ),
        tenant_id=tenant_id,
    )


@tenants.handles(UserUpdated)
async def rename_members(event: UserUpdated, tx: Transaction) -> None:
    if "name" in event.changed:
        await store.rename_person(tx, event.user_id, event.name)


@tenants.handles(PaymentProcessed)
async def record_first_payment(event: PaymentProcessed, tx: Transaction) -> None:
    await store.set_paid(tx, event.paid_at)


@tenants.handles(SubscriptionCreated)
async def follow_new_subscription(event: SubscriptionCreated, tx: Transaction) -> BillingChanged | None:
    return await _follow(event, "created", tx)


@tenants.handles(SubscriptionUpdated)
async def follow_subscription(event: SubscriptionUpdated, tx: Transaction) -> BillingChanged | None:
    return await _follow(event, event.reason, tx)


@tenants.handles(SubscriptionCanceled)
async def follow_cancellation(event: SubscriptionCanceled, tx: Transaction) -> BillingChanged | None:
    return await _follow(event, f"canceled_{event.reason}", tx)


async def _follow(event: SubscriptionEvent, reason: str, tx: Transaction) -> BillingChanged | None:
    """Gives the tenant the plan that its subscription pays for, and that plan's limits."""
    granted = rules.grants_plan(event.status)
    if granted is None:
        return None
    plan = event.plan if granted else None
    if not await store.set_plan(tx, plan):
        return None
    await store.set_limits(tx, limits_of(plan))
    return BillingChanged(tenant_id=tx.tenant_id, plan=plan, reason=reason)
