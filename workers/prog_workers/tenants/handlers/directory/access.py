"""What an entry of the directory means for who is a member of the tenant, and in which role.

An entry that is active invites, links a member with its address, or takes up a membership that the provider had
suspended. One that is not active ends the membership and every open invitation to its address. Nothing here makes or
changes an account.
"""

from __future__ import annotations

from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.directory import SettleDirectoryRoles
from prog_contracts.ids import new_id
from prog_contracts.messages import Message
from prog_contracts.tenants import MemberJoined, MemberRemoved, MemberRoleChanged, TenantRole
from prog_workers.tenants import errors, rules, store
from prog_workers.tenants.handlers.directory.links import link
from prog_workers.tenants.handlers.domain import check_tenant, refuse, tenants
from prog_workers.tenants.handlers.invitations import invite, take_back, take_back_at, take_back_ungrantable
from prog_workers.tenants.handlers.owners import owner_gone

ROLES_AT_ONCE: Final = 200
"""So many members get another role in one transaction; a command of its own goes on with the rest."""


async def follow(tx: Transaction, entry: store.DirectoryUser, manager: TenantRole) -> list[Message]:
    """Brings the membership to what the entry says. `manager` is the role of whoever keeps the directory.

    Raises Conflict when the plan has no seat left, the last owner would go, or the address is that of a member whom
    another entry means; Denied for an owner whom `manager` may not remove: then nothing of the request is done.
    """
    open_ones = await store.directory_invitations(tx, entry.directory_user_id)
    taken_back = await take_back(tx, [item for item in open_ones if item.email != entry.email])
    return [*taken_back, *await (_admit(tx, entry, manager) if entry.active else _shut_out(tx, entry, manager))]


async def _admit(tx: Transaction, entry: store.DirectoryUser, manager: TenantRole) -> list[Message]:
    if entry.user_id is not None:
        return await _take_up(tx, entry, manager)
    if entry.email is None:
        return []
    member = await store.member_at(tx, entry.email)
    if member is not None:
        linked = await link(tx, entry, member.user_id)
        if linked is None:
            raise errors.entry_taken("e-mail address")
        return [linked]
    invitation = await store.open_invitation_at(tx, entry.email)
    if invitation is not None and invitation.expires_at > tx.now:
        return []
    seats = await store.seats(tx, inviting=entry.email)
    refuse(rules.invitation_refusal(manager, entry.role, is_member=False, seats=seats))
    invited, mail = await invite(tx, new_id("invitation"), entry.email, entry.role)
    await store.of_directory(tx, invited.invitation_id, entry.directory_user_id)
    return [invited, mail]


async def _take_up(tx: Transaction, entry: store.DirectoryUser, manager: TenantRole) -> list[Message]:
    """Makes the account that was suspended a member again; nothing for one that is."""
    assert entry.user_id is not None
    if entry.account_email is None or entry.account_name is None:
        return []
    seats = await store.seats(tx, inviting=entry.account_email)
    refuse(rules.invitation_refusal(manager, entry.role, is_member=False, seats=seats))
    joined = MemberJoined(
        tenant_id=tx.tenant_id,
        user_id=entry.user_id,
        email=entry.account_email,
        name=entry.account_name,
        role=entry.role,
    )
    await store.link_account(tx, entry.directory_user_id, entry.user_id)
    if await store.insert_member(tx, joined.user_id, email=joined.email, name=joined.name, role=joined.role):
        return [joined]
    return []  # invited by hand meanwhile


async def _shut_out(tx: Transaction, entry: store.DirectoryUser, manager: TenantRole) -> list[Message]:
    """Ends what the entry's person has here, and remembers the account, so that the provider may let it in again."""
    messages: list[Message] = []
    member = None
    if entry.user_id is not None:
        member = await store.member(tx, entry.user_id)
    elif entry.email is not None:
        member = await store.member_at(tx, entry.email)
        linked = None if member is None else await link(tx, entry, member.user_id)
        if linked is None:
            member = None  # somebody whom another entry means is that one's to shut out
        else:
            messages.append(linked)
    messages += await take_back_at(tx, entry.email, None if member is None else member.email)
    if member is None:
        return messages
    owners = await store.lock_owners(tx)
    refuse(rules.removal_refusal(manager, member.role, leaving=False, owners=owners))
    await store.delete_member(tx, member.user_id)
    await store.remember_account(tx, entry.directory_user_id, member.email, member.name)
    removed = MemberRemoved(
        tenant_id=tx.tenant_id,
        user_id=member.user_id,
        email=member.email,
        name=member.name,
        role=member.role,
        reason="removed",
    )
    taken_back = await take_back_ungrantable(tx, member.user_id, None)
    return [removed, *messages, *taken_back, *(await owner_gone(tx, member.user_id) if member.role == "owner" else ())]


async def settle_roles(tx: Transaction, users: frozenset[str] | None = None) -> list[Message]:
    """Gives people of the directory, these or all, the roles that their groups give now, where those have changed.

    Owners stay owners: they are made and unmade by owners alone.
    """
    due = await store.due_roles(tx, users, ROLES_AT_ONCE + 1)
    messages: list[Message] = []
    for entry in due[:ROLES_AT_ONCE]:
        await store.set_directory_role(tx, entry.directory_user_id, entry.role)
        await store.set_invited_role(tx, entry.directory_user_id, entry.role)
        member = None if entry.user_id is None else await store.member(tx, entry.user_id)
        if member is None or member.role in ("owner", entry.role):
            continue
        await store.set_role(tx, member.user_id, entry.role)
        messages.append(
            MemberRoleChanged(
                tenant_id=tx.tenant_id,
                user_id=member.user_id,
                email=member.email,
                name=member.name,
                role=entry.role,
                previous_role=member.role,
            )
        )
        messages += await take_back_ungrantable(tx, member.user_id, entry.role)
    if len(due) > ROLES_AT_ONCE:
        messages.append(SettleDirectoryRoles(tenant_id=tx.tenant_id))
    return messages


@tenants.handles(SettleDirectoryRoles)
async def settle_directory_roles(command: SettleDirectoryRoles, tx: Transaction) -> list[Message]:
    """Goes on where one transaction had enough to do. It gives what the tenant's mapping says, whoever asks."""
    check_tenant(command.tenant_id, tx)
    return await settle_roles(tx)
