"""A person whose account ends is let go from every tenant at once, or from none: each keeps an owner.

A tenant that is being deleted needs none any more. Nobody can restore it then but operators.
"""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.erasure import ForgetMember, Person, PersonReleased, PersonRetained, UserLeaving
from prog_contracts.messages import Event
from prog_contracts.tenants import MemberRemoved
from prog_kit import secrets
from prog_workers.tenants import rules, store
from prog_workers.tenants.handlers.directory import links as directory
from prog_workers.tenants.handlers.domain import tenants
from prog_workers.tenants.handlers.exporting import end_exports_naming
from prog_workers.tenants.handlers.invitations import take_back_ungrantable
from prog_workers.tenants.handlers.owners import owner_gone


@tenants.handles(UserLeaving)
async def release_person(event: UserLeaving, tx: Transaction) -> PersonReleased | PersonRetained:
    """Ends all memberships, unless a tenant would be left without an owner."""
    memberships = await store.memberships_of(tx, event.user_id)
    needed: dict[str, str] = {}
    for membership in memberships:
        async with store.in_tenant(tx, membership.tenant_id) as there:
            owners = await store.lock_owners(there)
            tenant = await store.tenant(there)
            if tenant is not None and rules.is_needed(membership.role, tenant.status, owners=owners):
                needed[membership.tenant_id] = tenant.name
    if needed:
        return PersonRetained(user_id=event.user_id, tenant_ids=tuple(needed), tenant_names=tuple(needed.values()))
    for membership in memberships:
        async with store.in_tenant(tx, membership.tenant_id) as there:
            await _let_go(there, event.user_id)
    await store.drop_staff(tx, event.user_id)
    return PersonReleased(user_id=event.user_id)


@tenants.handles(ForgetMember)
async def forget_member(command: ForgetMember, tx: Transaction) -> None:
    """Of whoever is no member any more tell invitations, to them and by them, directories, and exports."""
    person = Person.model_validate_json(tx.sealer.open(command.sealed_person, secrets.PERSON))
    for membership in await store.memberships_of(tx, person.user_id):
        # Joined in the moment in which the account ended: nobody can act in it.
        async with store.in_tenant(tx, membership.tenant_id) as there:
            await _let_go(there, person.user_id)
    await store.forget_invitations(tx, person.user_id, email=person.email, forgotten=rules.FORGOTTEN_NAME)
    await store.forget_directory_users(tx, person.user_id, email=person.email)
    await end_exports_naming(tx, person)


async def _let_go(tx: Transaction, user_id: str) -> None:
    member = await store.member(tx, user_id)
    if member is None:
        return
    await store.delete_member(tx, user_id)
    tx.send(
        MemberRemoved(
            tenant_id=tx.tenant_id,
            user_id=user_id,
            email=member.email,
            name=member.name,
            role=member.role,
            reason="left",
        )
    )
    left: list[Event] = [
        *await take_back_ungrantable(tx, user_id, None),
        *await directory.erase_member(tx, user_id),
        *(await owner_gone(tx, user_id) if member.role == "owner" else ()),
    ]
    for told in left:
        tx.send(told)
