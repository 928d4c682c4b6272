"""What a membership means for the directory: who joins by an entry is linked to it, who leaves is not any more."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.directory import DirectoryUserDeleted, DirectoryUserLinked, DirectoryUserUpdated
from prog_workers.tenants import scim, store


async def link_joined(tx: Transaction, user_id: str, email: str) -> list[DirectoryUserLinked]:
    """Links a new member to the entry with their address, which they have proven.

    An entry that is another account's, or is not active, is left alone.
    """
    entry = await store.directory_user_at(tx, email)
    if entry is None or not entry.active or entry.user_id is not None:
        return []
    linked = await link(tx, entry, user_id)
    return [] if linked is None else [linked]


async def link(tx: Transaction, entry: store.DirectoryUser, user_id: str) -> DirectoryUserLinked | None:
    """Says that an entry means this account; None where another one does that is active, whatever address that has now.

    Another one that is not active lets go of the account.
    """
    before = await store.directory_user_of(tx, user_id)
    if before is not None and before.directory_user_id != entry.directory_user_id:
        if before.active:
            return None
        await store.link_account(tx, before.directory_user_id, None)
    await store.link_account(tx, entry.directory_user_id, user_id)
    return DirectoryUserLinked(
        directory_user_id=entry.directory_user_id,
        tenant_id=tx.tenant_id,
        user_name=entry.user_name,
        email=entry.email,
        active=entry.active,
        user_id=user_id,
        version=entry.version,
    )


async def forget_member(tx: Transaction, user_id: str) -> list[DirectoryUserUpdated]:
    """Whoever left, or was removed by hand, comes back by a new invitation alone: the entry is not active any more."""
    entry = await store.directory_user_of(tx, user_id)
    if entry is None:
        return []
    await store.update_directory_user(tx, entry.directory_user_id, scim.deactivated(entry.resource))
    await store.link_account(tx, entry.directory_user_id, None)
    updated = DirectoryUserUpdated(
        directory_user_id=entry.directory_user_id,
        tenant_id=tx.tenant_id,
        user_name=entry.user_name,
        email=entry.email,
        active=False,
        version=entry.version + 1,
        reason="member_left",
    )
    return [updated]


async def erase_member(tx: Transaction, user_id: str) -> list[DirectoryUserDeleted]:
    """Of whoever's account ends the entry goes, too, while it is known to be theirs: its provider may know them by
    another address and name."""
    entry = await store.directory_user_of(tx, user_id)
    if entry is None:
        return []
    await store.delete_directory_user(tx, entry.directory_user_id)
    deleted = DirectoryUserDeleted(
        directory_user_id=entry.directory_user_id,
        tenant_id=tx.tenant_id,
        user_name=entry.user_name,
        email=entry.email,
        active=False,
        user_id=user_id,
        version=entry.version + 1,
    )
    return [deleted]
