"""Entries of the directory: they come, change and go, and access follows in the same transaction."""

from __future__ import annotations

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.directory import (
    CreateDirectoryUser,
    DeleteDirectoryUser,
    DirectoryUserCreated,
    DirectoryUserDeleted,
    DirectoryUserUpdated,
    PatchDirectoryUser,
    ReplaceDirectoryUser,
    Versions,
)
from prog_contracts.messages import Message
from prog_contracts.tenants import TenantRole
from prog_workers.tenants import errors, scim, store
from prog_workers.tenants.handlers.directory.access import follow
from prog_workers.tenants.handlers.domain import begin_directory_change, require_version, tenants


@tenants.handles(CreateDirectoryUser)
async def create_directory_user(command: CreateDirectoryUser, tx: Transaction) -> Outcome:
    manager = await begin_directory_change(tx, command.tenant_id)
    state = scim.new_user(command.resource)
    await _refuse_taken(tx, command.directory_user_id, state)
    if not await store.insert_directory_user(tx, command.directory_user_id, state, await store.default_role(tx)):
        raise errors.entry_taken("id")
    followed = await follow(tx, await _entry(tx, command.directory_user_id), manager)
    created = DirectoryUserCreated(**_facts(tx, await _entry(tx, command.directory_user_id)))
    return [created, *followed]


@tenants.handles(ReplaceDirectoryUser)
async def replace_directory_user(command: ReplaceDirectoryUser, tx: Transaction) -> Outcome:
    manager = await begin_directory_change(tx, command.tenant_id)
    entry = await _entry(tx, command.directory_user_id, command.if_match)
    return await _change(tx, entry, scim.replaced_user(entry.resource, command.resource), manager)


@tenants.handles(PatchDirectoryUser)
async def patch_directory_user(command: PatchDirectoryUser, tx: Transaction) -> Outcome:
    manager = await begin_directory_change(tx, command.tenant_id)
    entry = await _entry(tx, command.directory_user_id, command.if_match)
    return await _change(tx, entry, scim.patched_user(entry.resource, command.body), manager)


@tenants.handles(DeleteDirectoryUser)
async def delete_directory_user(command: DeleteDirectoryUser, tx: Transaction) -> Outcome:
    """Forgets an entry. Its person is out; a later entry with the same address invites them anew."""
    manager = await begin_directory_change(tx, command.tenant_id)
    entry = await _entry(tx, command.directory_user_id, command.if_match)
    state = scim.deactivated(entry.resource)
    await store.update_directory_user(tx, entry.directory_user_id, state)
    followed = await follow(tx, await _entry(tx, entry.directory_user_id), manager)
    deleted = DirectoryUserDeleted(**_facts(tx, await _entry(tx, entry.directory_user_id)))
    await store.delete_directory_user(tx, entry.directory_user_id)
    return [deleted, *followed]


async def _change(tx: Transaction, entry: store.DirectoryUser, state: scim.UserState, manager: TenantRole) -> Outcome:
    if state.resource == entry.resource:
        return Reply(DirectoryUserUpdated(**_facts(tx, entry)))
    await _refuse_taken(tx, entry.directory_user_id, state)
    await store.update_directory_user(tx, entry.directory_user_id, state)
    if entry.account_email is not None and state.email != entry.email:
        # Somebody else may be meant by now: nobody gets in again by what another has proven.
        await store.link_account(tx, entry.directory_user_id, None)
    followed: list[Message] = await follow(tx, await _entry(tx, entry.directory_user_id), manager)
    return [DirectoryUserUpdated(**_facts(tx, await _entry(tx, entry.directory_user_id))), *followed]


async def _entry(tx: Transaction, directory_user_id: str, if_match: Versions | None = None) -> store.DirectoryUser:
    entry = await store.directory_user(tx, directory_user_id)
    if entry is None:
        raise errors.entry_not_found()
    require_version(if_match, entry.version)
    return entry


async def _refuse_taken(tx: Transaction, directory_user_id: str, state: scim.UserState) -> None:
    taken = await store.taken_by_another(tx, directory_user_id, state)
    if taken is not None:
        raise errors.entry_taken(taken)


def _facts(tx: Transaction, entry: store.DirectoryUser) -> dict[str, object]:
    """What every event of an entry tells."""
    return {
        "directory_user_id": entry.directory_user_id,
        "tenant_id": tx.tenant_id,
        "user_name": entry.user_name,
        "email": entry.email,
        "active": entry.active,
        "user_id": entry.user_id,
        "version": entry.version,
    }
