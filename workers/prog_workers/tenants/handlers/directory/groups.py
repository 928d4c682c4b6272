"""Groups of the directory, and which role each gives its people."""

from __future__ import annotations

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.directory import (
    CreateDirectoryGroup,
    DeleteDirectoryGroup,
    DirectoryDefaultChanged,
    DirectoryGroupCreated,
    DirectoryGroupDeleted,
    DirectoryGroupMapped,
    DirectoryGroupUpdated,
    MapDirectoryGroup,
    PatchDirectoryGroup,
    ReplaceDirectoryGroup,
    SetDirectoryDefault,
    Versions,
)
from prog_workers.tenants import errors, rules, scim, store
from prog_workers.tenants.handlers.directory.access import settle_roles
from prog_workers.tenants.handlers.domain import (
    begin_directory_change,
    check_customer,
    refuse,
    require,
    require_version,
    tenants,
)


@tenants.handles(CreateDirectoryGroup)
async def create_directory_group(command: CreateDirectoryGroup, tx: Transaction) -> Outcome:
    await begin_directory_change(tx, command.tenant_id)
    state = scim.new_group(command.resource)
    if await store.directory_group(tx, command.directory_group_id) is not None:
        raise errors.entry_taken("id")
    await _write(tx, command.directory_group_id, state, frozenset())
    return DirectoryGroupCreated(**_facts(tx, await _group(tx, command.directory_group_id)))


@tenants.handles(ReplaceDirectoryGroup)
async def replace_directory_group(command: ReplaceDirectoryGroup, tx: Transaction) -> Outcome:
    await begin_directory_change(tx, command.tenant_id)
    group = await _group(tx, command.directory_group_id, command.if_match)
    return await _change(tx, group, await _state(tx, group), scim.replaced_group(command.resource))


@tenants.handles(PatchDirectoryGroup)
async def patch_directory_group(command: PatchDirectoryGroup, tx: Transaction) -> Outcome:
    await begin_directory_change(tx, command.tenant_id)
    group = await _group(tx, command.directory_group_id, command.if_match)
    before = await _state(tx, group)
    return await _change(tx, group, before, scim.patched_group(before, group.directory_group_id, command.body))


@tenants.handles(DeleteDirectoryGroup)
async def delete_directory_group(command: DeleteDirectoryGroup, tx: Transaction) -> Outcome:
    await begin_directory_change(tx, command.tenant_id)
    group = await _group(tx, command.directory_group_id, command.if_match)
    people = await store.group_members(tx, group.directory_group_id)
    await store.delete_directory_group(tx, group.directory_group_id)
    return [DirectoryGroupDeleted(**_facts(tx, group)), *await settle_roles(tx, people)]


@tenants.handles(MapDirectoryGroup)
async def map_directory_group(command: MapDirectoryGroup, tx: Transaction) -> Outcome:
    check_customer(command.tenant_id, tx)
    mapper = await require(tx, "directory.manage")
    refuse(rules.mapping_refusal(mapper, command.role))
    group = await _group(tx, command.directory_group_id)
    refuse(rules.mapping_refusal(mapper, group.role))
    mapped = DirectoryGroupMapped(**{**_facts(tx, group), "role": command.role}, previous_role=group.role)
    if command.role == group.role:
        return Reply(mapped)
    await store.set_group_role(tx, group.directory_group_id, command.role)
    return [mapped, *await settle_roles(tx, await store.group_members(tx, group.directory_group_id))]


@tenants.handles(SetDirectoryDefault)
async def set_directory_default(command: SetDirectoryDefault, tx: Transaction) -> Outcome:
    check_customer(command.tenant_id, tx)
    await require(tx, "directory.manage")
    before = await store.default_role(tx)
    changed = DirectoryDefaultChanged(tenant_id=tx.tenant_id, role=command.role, previous_role=before)
    if command.role == before:
        return Reply(changed)
    await store.set_default_role(tx, command.role)
    return [changed, *await settle_roles(tx)]


async def _change(
    tx: Transaction, group: store.DirectoryGroup, before: scim.GroupState, after: scim.GroupState
) -> Outcome:
    if after == before:
        return Reply(DirectoryGroupUpdated(**_facts(tx, group)))
    await _write(tx, group.directory_group_id, after, before.members)
    moved = before.members ^ after.members
    updated = DirectoryGroupUpdated(
        **_facts(tx, await _group(tx, group.directory_group_id)),
        added=len(after.members - before.members),
        removed=len(before.members - after.members),
    )
    return [updated, *(await settle_roles(tx, moved) if moved else ())]


async def _write(tx: Transaction, group_id: str, after: scim.GroupState, members: frozenset[str]) -> None:
    """Writes a group that has these members so far."""
    if await store.group_name_taken(tx, group_id, after):
        raise errors.entry_taken("displayName")
    await store.put_directory_group(tx, group_id, after)
    await store.drop_group_members(tx, group_id, members - after.members)
    if not await store.add_group_members(tx, group_id, after.members - members):
        raise errors.unknown_group_member()


async def _state(tx: Transaction, group: store.DirectoryGroup) -> scim.GroupState:
    return scim.GroupState(group.name, group.external_id, await store.group_members(tx, group.directory_group_id))


async def _group(tx: Transaction, group_id: str, if_match: Versions | None = None) -> store.DirectoryGroup:
    group = await store.directory_group(tx, group_id)
    if group is None:
        raise errors.entry_not_found()
    require_version(if_match, group.version)
    return group


def _facts(tx: Transaction, group: store.DirectoryGroup) -> dict[str, object]:
    """What every event of a group tells."""
    return {
        "directory_group_id": group.directory_group_id,
        "tenant_id": tx.tenant_id,
        "name": group.name,
        "role": group.role,
        "version": group.version,
    }
