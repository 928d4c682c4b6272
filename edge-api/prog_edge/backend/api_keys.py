"""Behind the pages about a tenant's API keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from prog_contracts.api_keys import CreateApiKey, RevokeApiKey, RollApiKey
from prog_contracts.errors import NotFound
from prog_contracts.ids import is_id
from prog_contracts.permissions import SCOPES, rights
from prog_edge.api.api_keys import made_now, require_own_rights
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.keyring import NewKey, new_key
from prog_edge.platform import Platform
from prog_edge.web.ports import ApiKeyCard, ApiKeysView, MadeKey, Viewer
from prog_kit.database import Connection
from prog_kit.pages import MAX_LIMIT
from prog_workers.tenants import queries as tenants
from prog_workers.users.queries import api_keys as queries
from prog_workers.users.queries.api_keys import ApiKeyRow

NEWEST: Final = 200
"""So many keys are shown, those that are over among them. What is good is shown however old it is."""


class ApiKeys:
    """Implements `prog_edge.web.ports.ApiKeysBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def keys(self, viewer: Viewer, tenant_id: str) -> ApiKeysView:
        await role_for(self._platform, viewer, tenant_id, "api_key.manage", any_status=True)
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            tenant = await tenants.tenant(connection, tenant_id)
            rows = await _shown(connection, tenant_id)
            names = {row.user_id: row.name for row in await tenants.members(connection, tenant_id)}
        if tenant is None:
            raise NotFound("There is no such tenant.")
        own = rights(await self._platform.role(viewer.user_id, tenant_id), SCOPES)
        return ApiKeysView(
            tenant_id=tenant_id,
            tenant_name=tenant.name,
            keys=[_card(row, names) for row in rows],
            scopes=[scope for scope in SCOPES if scope in own],
        )

    async def make(
        self,
        viewer: Viewer,
        tenant_id: str,
        *,
        name: str,
        scopes: Sequence[str],
        days: int | None,
        idempotency_key: str,
    ) -> MadeKey:
        await role_for(self._platform, viewer, tenant_id, "api_key.manage")
        require_own_rights(await self._platform.role(viewer.user_id, tenant_id), scopes)
        made = new_key(self._platform.keyring.mode, tenant_id)
        command = CreateApiKey(
            key_id=made.key_id,
            tenant_id=tenant_id,
            name=name,
            key_digest=made.digest,
            hint=made.hint,
            scopes=tuple(scopes),
            expires_at=None if days is None else datetime.now(UTC) + timedelta(days=days),
            limit=await self._platform.limit(tenant_id, "api_keys"),
        )
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        return _made(result, made)

    async def roll(
        self, viewer: Viewer, tenant_id: str, key_id: str, *, grace_hours: int, idempotency_key: str
    ) -> MadeKey:
        row = await self._found(viewer, tenant_id, key_id)
        require_own_rights(await self._platform.role(viewer.user_id, tenant_id), row.scopes)
        made = new_key(self._platform.keyring.mode, tenant_id)
        command = RollApiKey(
            key_id=row.key_id,
            tenant_id=tenant_id,
            successor_id=made.key_id,
            key_digest=made.digest,
            hint=made.hint,
            grace_seconds=grace_hours * 3600,
            limit=await self._platform.limit(tenant_id, "api_keys"),
        )
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        return _made(result, made)

    async def revoke(self, viewer: Viewer, tenant_id: str, key_id: str, *, idempotency_key: str) -> str:
        row = await self._found(viewer, tenant_id, key_id, any_status=True)
        command = RevokeApiKey(key_id=row.key_id, tenant_id=tenant_id)
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)
        return row.name

    async def _found(self, viewer: Viewer, tenant_id: str, key_id: str, *, any_status: bool = False) -> ApiKeyRow:
        await role_for(self._platform, viewer, tenant_id, "api_key.manage", any_status=any_status)
        row = None
        if is_id(key_id):
            async with self._platform.database.scope(tenant_id=tenant_id) as connection:
                row = await queries.api_key(connection, tenant_id, key_id)
        if row is None:
            raise NotFound("There is no such API key.", code="api_key_not_found")
        return row


async def _shown(connection: Connection, tenant_id: str) -> list[ApiKeyRow]:
    """Newest first. No key that gets in is hidden behind newer ones: there it could not be revoked."""
    newest = await queries.api_keys(connection, tenant_id, limit=NEWEST)
    good = await queries.api_keys(connection, tenant_id, good_at=datetime.now(UTC), limit=MAX_LIMIT)
    known = {row.key_id for row in newest.rows}
    return [*newest.rows, *(row for row in good.rows if row.key_id not in known)]


def _made(result: Mapping[str, Any], made: NewKey) -> MadeKey:
    made_now(result, made)
    ends = result["expires_at"]
    return MadeKey(made.key_id, result["name"], made.text, None if ends is None else datetime.fromisoformat(ends))


def _card(row: ApiKeyRow, names: Mapping[str, str]) -> ApiKeyCard:
    return ApiKeyCard(
        id=row.key_id,
        name=row.name,
        hint=row.hint,
        scopes=[scope for scope in SCOPES if scope in row.scopes],
        status=row.status(datetime.now(UTC)),
        maker=names.get(row.created_by, row.created_by),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        rolled=row.replaced_by is not None,
    )
