"""Members: their roles, their removal, and leaving. A tenant always keeps an owner."""

from __future__ import annotations

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.messages import Event
from prog_contracts.tenants import ChangeMemberRole, MemberRemoved, MemberRoleChanged, RemoveMember
from prog_workers.tenants import errors, rules, store
from prog_workers.tenants.handlers.directory.links import forget_member
from prog_workers.tenants.handlers.domain import check_tenant, refuse, require, role_of, tenants
from prog_workers.tenants.handlers.invitations import take_back_at, take_back_ungrantable
from prog_workers.tenants.handlers.owners import owner_gone
from prog_workers.tenants.handlers.sign_on import owners_changed


@tenants.handles(ChangeMemberRole)
async def change_member_role(command: ChangeMemberRole, tx: Transaction) -> Outcome:
    """Gives a member another role. What they have invited for and could not any more is taken back."""
    check_tenant(command.tenant_id, tx)
    manager = await require(tx, "member.manage")
    owners = await store.lock_owners(tx)
    member = await store.member(tx, command.user_id)
    if member is None:
        raise errors.member_not_found()
    scopes = rules.scopes_of(tx.actor)
    refuse(rules.role_change_refusal(manager, member.role, command.role, owners=owners, scopes=scopes))
    changed = MemberRoleChanged(
        tenant_id=tx.tenant_id,
        user_id=member.user_id,
        email=member.email,
        name=member.name,
        role=command.role,
        previous_role=member.role,
    )
    if command.role == member.role:
        return Reply(changed)
    await store.set_role(tx, member.user_id, command.role)
    told: list[Event] = [changed, *await take_back_ungrantable(tx, member.user_id, command.role)]
    if member.role == "owner":
        return [*told, *await owner_gone(tx, member.user_id)]
    return [*told, *await owners_changed(tx)] if command.role == "owner" else told


@tenants.handles(RemoveMember)
async def remove_member(command: RemoveMember, tx: Transaction) -> Outcome:
    """Ends a membership, and takes back what the person has invited for, and what they are invited to.

    Whoever leaves may do so in any state.
    """
    check_tenant(command.tenant_id, tx)
    leaving = tx.actor == command.user_id
    manager = role_of(tx, await store.actor(tx)) if leaving else await require(tx, "member.manage")
    owners = await store.lock_owners(tx)
    member = await store.member(tx, command.user_id)
    if member is None:
        raise errors.member_not_found()
    scopes = rules.scopes_of(tx.actor)
    refuse(rules.removal_refusal(manager, member.role, leaving=leaving, owners=owners, scopes=scopes))
    await store.delete_member(tx, member.user_id)
    removed = MemberRemoved(
        tenant_id=tx.tenant_id,
        user_id=member.user_id,
        email=member.email,
        name=member.name,
        role=member.role,
        reason="left" if leaving else "removed",
    )
    told: list[Event] = [
        removed,
        *await take_back_at(tx, member.email),
        *await take_back_ungrantable(tx, member.user_id, None),
        *await forget_member(tx, member.user_id),
    ]
    return [*told, *await owner_gone(tx, member.user_id)] if member.role == "owner" else told
