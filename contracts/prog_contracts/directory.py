"""Messages of the tenants domain about a tenant's directory: users and groups that its identity provider keeps over
SCIM (RFC 7643, RFC 7644).

An entry of the directory says who is to be a member of this one tenant. It is no account: nothing here touches what a
person is elsewhere. Bodies are those of the protocol, as the provider sent them; the domain reads them.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from prog_contracts.ids import DirectoryGroupId, DirectoryUserId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event
from prog_contracts.tenants import TenantRole

MappedRole = Literal["admin", "billing", "member", "viewer"]
"""What a group may give. Owners are made by owners alone."""
DefaultRole = Literal["member", "viewer"]
"""What an entry gives that is in no group with a role."""
DEFAULT_ROLE: Final[DefaultRole] = "member"

Versions = tuple[str, ...]
"""Versions of which the entry must have one, as `If-Match` lists them; `*` is any."""


@command("prognetwork.tenants.create_directory_user", key="tenant_id", subject="directory_user_id")
class CreateDirectoryUser(Command):
    """Take somebody into the directory, and invite them, or take them as a member who is one already."""

    directory_user_id: DirectoryUserId
    tenant_id: TenantId
    resource: dict[str, Any]


@command("prognetwork.tenants.replace_directory_user", key="tenant_id", subject="directory_user_id")
class ReplaceDirectoryUser(Command):
    directory_user_id: DirectoryUserId
    tenant_id: TenantId
    resource: dict[str, Any]
    if_match: Versions | None = None


@command("prognetwork.tenants.patch_directory_user", key="tenant_id", subject="directory_user_id")
class PatchDirectoryUser(Command):
    """`body` is a PatchOp; all of its operations are done, or none."""

    directory_user_id: DirectoryUserId
    tenant_id: TenantId
    body: dict[str, Any]
    if_match: Versions | None = None


@command("prognetwork.tenants.delete_directory_user", key="tenant_id", subject="directory_user_id")
class DeleteDirectoryUser(Command):
    """Forget an entry, and end the membership that follows from it."""

    directory_user_id: DirectoryUserId
    tenant_id: TenantId
    if_match: Versions | None = None


@command("prognetwork.tenants.create_directory_group", key="tenant_id", subject="directory_group_id")
class CreateDirectoryGroup(Command):
    directory_group_id: DirectoryGroupId
    tenant_id: TenantId
    resource: dict[str, Any]


@command("prognetwork.tenants.replace_directory_group", key="tenant_id", subject="directory_group_id")
class ReplaceDirectoryGroup(Command):
    directory_group_id: DirectoryGroupId
    tenant_id: TenantId
    resource: dict[str, Any]
    if_match: Versions | None = None


@command("prognetwork.tenants.patch_directory_group", key="tenant_id", subject="directory_group_id")
class PatchDirectoryGroup(Command):
    """`body` is a PatchOp; all of its operations are done, or none."""

    directory_group_id: DirectoryGroupId
    tenant_id: TenantId
    body: dict[str, Any]
    if_match: Versions | None = None


@command("prognetwork.tenants.delete_directory_group", key="tenant_id", subject="directory_group_id")
class DeleteDirectoryGroup(Command):
    """Forget a group; its people lose the role that it gave."""

    directory_group_id: DirectoryGroupId
    tenant_id: TenantId
    if_match: Versions | None = None


@command("prognetwork.tenants.map_directory_group", key="tenant_id", subject="directory_group_id")
class MapDirectoryGroup(Command):
    """Say which role a group gives its people; None is none. Only a person may, whose own rights cover the role."""

    directory_group_id: DirectoryGroupId
    tenant_id: TenantId
    role: MappedRole | None = None


@command("prognetwork.tenants.set_directory_default", key="tenant_id")
class SetDirectoryDefault(Command):
    """Say which role those get who are in no group with a role. Only a person may."""

    tenant_id: TenantId
    role: DefaultRole


@command("prognetwork.tenants.settle_directory_roles", key="tenant_id")
class SettleDirectoryRoles(Command):
    """Go on with giving people the roles that their groups give; sent where one transaction had enough to do."""

    tenant_id: TenantId


class _UserEvent(Event):
    directory_user_id: DirectoryUserId
    tenant_id: TenantId
    user_name: str
    email: str | None = None
    """Where the person is invited; None where the provider gave no address."""
    active: bool
    user_id: UserId | None = None
    """The account that has joined; None until somebody has proven the address."""
    version: int


@event("prognetwork.tenants.directory_user_created", key="tenant_id", subject="directory_user_id")
class DirectoryUserCreated(_UserEvent):
    pass


@event("prognetwork.tenants.directory_user_updated", key="tenant_id", subject="directory_user_id")
class DirectoryUserUpdated(_UserEvent):
    """`member_left`: the person left, or was removed by hand, so the entry is not active any more."""

    reason: Literal["provider", "member_left"] = "provider"


@event("prognetwork.tenants.directory_user_linked", key="tenant_id", subject="directory_user_id")
class DirectoryUserLinked(_UserEvent):
    """An account has proven the entry's address: from now on the membership follows the entry."""


@event("prognetwork.tenants.directory_user_deleted", key="tenant_id", subject="directory_user_id")
class DirectoryUserDeleted(_UserEvent):
    pass


class _GroupEvent(Event):
    directory_group_id: DirectoryGroupId
    tenant_id: TenantId
    name: str
    role: TenantRole | None = None
    version: int


@event("prognetwork.tenants.directory_group_created", key="tenant_id", subject="directory_group_id")
class DirectoryGroupCreated(_GroupEvent):
    pass


@event("prognetwork.tenants.directory_group_updated", key="tenant_id", subject="directory_group_id")
class DirectoryGroupUpdated(_GroupEvent):
    """Its name or its people changed: so many came and went."""

    added: int = 0
    removed: int = 0


@event("prognetwork.tenants.directory_group_deleted", key="tenant_id", subject="directory_group_id")
class DirectoryGroupDeleted(_GroupEvent):
    pass


@event("prognetwork.tenants.directory_group_mapped", key="tenant_id", subject="directory_group_id")
class DirectoryGroupMapped(_GroupEvent):
    previous_role: TenantRole | None = None


@event("prognetwork.tenants.directory_default_changed", key="tenant_id")
class DirectoryDefaultChanged(Event):
    tenant_id: TenantId
    role: DefaultRole
    previous_role: DefaultRole
