"""Behind the page about a tenant's directory."""

from __future__ import annotations

from prog_contracts.directory import DefaultRole, MapDirectoryGroup, MappedRole, SetDirectoryDefault
from prog_contracts.errors import NotFound
from prog_contracts.ids import is_id
from prog_edge.backend.api_keys import ApiKeys
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.scim_errors import PREFIX
from prog_edge.web.ports import DirectoryGroupCard, DirectoryView, Viewer
from prog_workers.tenants.queries import directory as queries

SCOPE = "scim.manage"


class Directories:
    """Implements `prog_edge.web.ports.DirectoryBackend`."""

    def __init__(self, platform: Platform, sender: Sender, keys: ApiKeys) -> None:
        self._platform = platform
        self._sender = sender
        self._keys = keys

    async def directory(self, viewer: Viewer, tenant_id: str) -> DirectoryView:
        await role_for(self._platform, viewer, tenant_id, "directory.manage", any_status=True)
        keys = await self._keys.keys(viewer, tenant_id)
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            row = await queries.directory(connection, tenant_id)
            groups = await queries.groups(connection, tenant_id)
        return DirectoryView(
            tenant_id=tenant_id,
            tenant_name=keys.tenant_name,
            scim_url=self._platform.settings.public_url.rstrip("/") + PREFIX,
            default_role=row.default_role,
            users=row.users,
            active=row.active,
            joined=row.joined,
            groups=[DirectoryGroupCard(item.directory_group_id, item.name, item.role, item.members) for item in groups],
            keys=[card for card in keys.keys if SCOPE in card.scopes and card.status == "active"],
            may_make_key=SCOPE in keys.scopes,
        )

    async def set_default(self, viewer: Viewer, tenant_id: str, *, role: DefaultRole, idempotency_key: str) -> None:
        await role_for(self._platform, viewer, tenant_id, "directory.manage")
        command = SetDirectoryDefault(tenant_id=tenant_id, role=role)
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)

    async def map_group(
        self, viewer: Viewer, tenant_id: str, group_id: str, *, role: MappedRole | None, idempotency_key: str
    ) -> str:
        await role_for(self._platform, viewer, tenant_id, "directory.manage")
        if not (is_id(group_id) and group_id.startswith("dirgroup_")):
            raise NotFound("There is no such group in the directory.", code="entry_not_found")
        command = MapDirectoryGroup(directory_group_id=group_id, tenant_id=tenant_id, role=role)
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        return str(result["name"])
