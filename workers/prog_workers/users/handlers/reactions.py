"""What other domains' events mean for accounts."""

from __future__ import annotations

from prog_broker.purging import purge_rows
from prog_broker.transaction import Transaction
from prog_contracts.api_keys import ApiKeyRevoked
from prog_contracts.email import EmailSent
from prog_contracts.messages import Event
from prog_contracts.payments import PaymentProcessed
from prog_contracts.sign_on import SignOnChanged
from prog_contracts.tenants import (
    MemberJoined,
    MemberRemoved,
    TenantCreated,
    TenantDeleted,
    TenantDeletionRequested,
    TenantSuspended,
)
from prog_workers.users import store
from prog_workers.users.handlers.api_keys import end_api_keys
from prog_workers.users.handlers.clients import end_clients
from prog_workers.users.handlers.domain import users
from prog_workers.users.store import clients, logouts


@users.handles(EmailSent)
async def record_verification_mail(event: EmailSent, tx: Transaction) -> None:
    """Support can tell somebody who waits for the mail when it went out."""
    if event.template == "verify_email":
        await store.set_verification_mail_sent(tx, event.mail_id, event.occurred_at)


@users.handles(TenantCreated)
async def adopt_created_tenant(event: TenantCreated, tx: Transaction) -> None:
    """Sign-in opens the first tenant that a person made or joined."""
    await store.set_home_tenant(tx, event.owner_user_id, event.tenant_id)


@users.handles(MemberJoined)
async def adopt_joined_tenant(event: MemberJoined, tx: Transaction) -> None:
    await store.set_home_tenant(tx, event.user_id, event.tenant_id)


@users.handles(MemberRemoved)
async def forget_left_tenant(event: MemberRemoved, tx: Transaction) -> list[ApiKeyRevoked]:
    """Sign-in opens it no more for whoever left, and the keys that they made there are good no more. Clients whose
    secret they saw last go on signing people in, and call the API no more until somebody else rolls the secret."""
    await store.clear_home_tenant(tx, event.tenant_id, event.user_id)
    await clients.release_clients(tx, event.user_id)
    return await end_api_keys(tx, "maker_left", event.user_id)


@users.handles(TenantSuspended)
async def end_sign_ins_of_suspended_tenant(event: TenantSuspended, tx: Transaction) -> None:
    """Nobody is signed in any more to the clients of a tenant that is suspended, and these are told."""
    await logouts.end_sign_ins_at_tenant(tx)


@users.handles(TenantDeletionRequested)
async def end_sign_ins_of_ending_tenant(event: TenantDeletionRequested, tx: Transaction) -> None:
    """So it is while a tenant waits to be deleted."""
    await logouts.end_sign_ins_at_tenant(tx)


@users.handles(TenantDeleted)
async def forget_deleted_tenant(event: TenantDeleted, tx: Transaction) -> list[Event]:
    """Nobody's sign-in opens it any more, its keys are good no more, and its clients are gone with all they had."""
    await store.clear_home_tenant(tx, event.tenant_id)
    await store.drop_sign_on(tx, event.tenant_id)
    ended: list[Event] = [*await end_api_keys(tx, "tenant_deleted"), *await end_clients(tx)]
    while await purge_rows(tx, users.tenant_rows.deleted):
        pass
    return ended


@users.handles(SignOnChanged)
async def follow_sign_on(event: SignOnChanged, tx: Transaction) -> None:
    """Keeps which domains have their people sign on. The event tells all of it, so the tenant's last one holds. Of two
    tenants that tell of one domain, whichever has proven it later has it, in whatever order they are heard."""
    domains = () if event.issuer is None else event.domains
    proofs = {domain: event.proofs.get(domain, 0) for domain in domains}
    await store.replace_sign_on_domains(tx, event.tenant_id, proofs, enforced=event.enforced, owners=event.owners)


@users.handles(PaymentProcessed)
async def record_first_payment(event: PaymentProcessed, tx: Transaction) -> None:
    """People of a tenant that paid are no abandoned accounts."""
    await store.set_first_paid(tx, tx.tenant_id, event.paid_at)
