"""What an identity provider does with a tenant's directory, as short calls with an API key."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from prog_broker.replies import Answer
from prog_contracts.actors import actor_of_key
from prog_contracts.directory import (
    CreateDirectoryGroup,
    CreateDirectoryUser,
    DefaultRole,
    DeleteDirectoryGroup,
    DeleteDirectoryUser,
    MapDirectoryGroup,
    MappedRole,
    PatchDirectoryGroup,
    PatchDirectoryUser,
    ReplaceDirectoryGroup,
    ReplaceDirectoryUser,
    SetDirectoryDefault,
)
from prog_contracts.ids import new_id
from prog_contracts.tenants import TenantRole
from tests.component.tenants.company import Company

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def user_body(user_name: str, **attributes: Any) -> dict[str, Any]:
    return {"schemas": [USER], "userName": user_name, "active": True, **attributes}


def patch_body(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH], "Operations": list(operations)}


def listed(*ids: str) -> list[dict[str, str]]:
    return [{"value": item} for item in ids]


@dataclass
class Provider:
    """Speaks for a company's identity provider with a key that `maker`, by default the owner, has made."""

    company: Company
    maker: str | None = None
    key_id: str = field(default_factory=lambda: new_id("apikey"))

    @property
    def actor(self) -> str:
        return actor_of_key(self.maker or self.company.owner_id, self.key_id)

    async def create(self, user_name: str, **attributes: Any) -> Answer:
        command = CreateDirectoryUser(
            directory_user_id=new_id("diruser"),
            tenant_id=self.company.tenant_id,
            resource=user_body(user_name, **attributes),
        )
        return await self.company.send(command, self.actor)

    async def add(self, user_name: str, **attributes: Any) -> str:
        """The id of a user who was taken in."""
        answer = await self.create(user_name, **attributes)
        assert answer.status == "succeeded", answer
        assert answer.result is not None
        return str(answer.result["directory_user_id"])

    async def join(self, email: str, **attributes: Any) -> tuple[str, str]:
        """A user who was taken in and has accepted; the ids of entry and account."""
        entry, person = await self.add(email, **attributes), new_id("user")
        answer = await self.company.accept(await self.company.mailed_token(), email, person)
        assert answer.status == "succeeded", answer
        return entry, person

    async def replace(self, entry: str, body: dict[str, Any], if_match: tuple[str, ...] | None = None) -> Answer:
        command = ReplaceDirectoryUser(
            directory_user_id=entry, tenant_id=self.company.tenant_id, resource=body, if_match=if_match
        )
        return await self.company.send(command, self.actor)

    async def patch(self, entry: str, *operations: dict[str, Any], if_match: tuple[str, ...] | None = None) -> Answer:
        command = PatchDirectoryUser(
            directory_user_id=entry,
            tenant_id=self.company.tenant_id,
            body=patch_body(*operations),
            if_match=if_match,
        )
        return await self.company.send(command, self.actor)

    async def set_active(self, entry: str, active: object) -> Answer:
        return await self.patch(entry, {"op": "replace", "value": {"active": active}})

    async def delete(self, entry: str) -> Answer:
        command = DeleteDirectoryUser(directory_user_id=entry, tenant_id=self.company.tenant_id)
        return await self.company.send(command, self.actor)

    async def create_group(self, name: str, *members: str) -> Answer:
        body = {"schemas": [GROUP], "displayName": name, "members": listed(*members)}
        command = CreateDirectoryGroup(
            directory_group_id=new_id("dirgroup"), tenant_id=self.company.tenant_id, resource=body
        )
        return await self.company.send(command, self.actor)

    async def group(self, name: str, *members: str) -> str:
        answer = await self.create_group(name, *members)
        assert answer.status == "succeeded", answer
        assert answer.result is not None
        return str(answer.result["directory_group_id"])

    async def patch_group(self, group: str, *operations: dict[str, Any]) -> Answer:
        command = PatchDirectoryGroup(
            directory_group_id=group, tenant_id=self.company.tenant_id, body=patch_body(*operations)
        )
        return await self.company.send(command, self.actor)

    async def replace_group(self, group: str, name: str, *members: str) -> Answer:
        body = {"schemas": [GROUP], "displayName": name, "members": listed(*members)}
        command = ReplaceDirectoryGroup(directory_group_id=group, tenant_id=self.company.tenant_id, resource=body)
        return await self.company.send(command, self.actor)

    async def delete_group(self, group: str) -> Answer:
        command = DeleteDirectoryGroup(directory_group_id=group, tenant_id=self.company.tenant_id)
        return await self.company.send(command, self.actor)

    async def map(self, group: str, role: MappedRole | None, actor: str | None = None) -> Answer:
        command = MapDirectoryGroup(directory_group_id=group, tenant_id=self.company.tenant_id, role=role)
        return await self.company.send(command, actor)

    async def set_default(self, role: DefaultRole, actor: str | None = None) -> Answer:
        return await self.company.send(SetDirectoryDefault(tenant_id=self.company.tenant_id, role=role), actor)

    async def row(self, entry: str) -> dict[str, Any]:
        """An entry as it stands in the database."""
        [row] = await self.company.platform.fetch(
            "SELECT * FROM tenants.directory_users WHERE directory_user_id = $1", entry
        )
        return {**dict(row), "resource": orjson.loads(row["resource"])}

    async def members_of(self, group: str) -> set[str]:
        rows = await self.company.platform.fetch(
            "SELECT directory_user_id FROM tenants.directory_group_members WHERE directory_group_id = $1", group
        )
        return {row["directory_user_id"] for row in rows}

    async def invited(self) -> dict[str, TenantRole]:
        """Open invitations: address and role."""
        rows = await self.company.platform.fetch(
            "SELECT email, role FROM tenants.invitations WHERE tenant_id = $1 AND status = 'open'",
            self.company.tenant_id,
        )
        return {row["email"]: row["role"] for row in rows}
