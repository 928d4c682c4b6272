"""Behind the pages about a tenant's OAuth clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prog_contracts.credentials import public_client_id
from prog_contracts.errors import NotFound
from prog_contracts.ids import is_id, new_id
from prog_contracts.oauth import Grant, RegisterClient, RemoveClient, RollClientSecret, UpdateClient
from prog_contracts.permissions import SCOPES, rights
from prog_edge.api.oauth_clients import require_own_rights, secret_lost
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.oauth.clients import new_secret
from prog_edge.platform import Platform
from prog_edge.web.ports import ClientCard, ClientsView, MadeClient, Viewer
from prog_kit.pages import MAX_LIMIT
from prog_workers.tenants import queries as tenants
from prog_workers.users.queries import clients as queries
from prog_workers.users.queries.clients import ClientRow


class Clients:
    """Implements `prog_edge.web.ports.ClientsBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def clients(self, viewer: Viewer, tenant_id: str) -> ClientsView:
        await role_for(self._platform, viewer, tenant_id, "client.manage", any_status=True)
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            tenant = await tenants.tenant(connection, tenant_id)
            page = await queries.clients(connection, tenant_id, limit=MAX_LIMIT)
            names = {row.user_id: row.name for row in await tenants.members(connection, tenant_id)}
        if tenant is None:
            raise NotFound("There is no such tenant.")
        own = rights(await self._platform.role(viewer.user_id, tenant_id), SCOPES)
        return ClientsView(
            tenant_id=tenant_id,
            tenant_name=tenant.name,
            clients=[_card(row, names) for row in page.rows],
            scopes=[scope for scope in SCOPES if scope in own],
            issuer=self._platform.settings.public_url.rstrip("/"),
        )

    async def register(
        self,
        viewer: Viewer,
        tenant_id: str,
        *,
        name: str,
        confidential: bool,
        redirect_uris: Sequence[str],
        post_logout_redirect_uris: Sequence[str],
        backchannel_logout_uri: str,
        grants: Sequence[Grant],
        scopes: Sequence[str],
        idempotency_key: str,
    ) -> MadeClient:
        await role_for(self._platform, viewer, tenant_id, "client.manage")
        require_own_rights(await self._platform.role(viewer.user_id, tenant_id), scopes)
        text, digest, hint = new_secret() if confidential else (None, None, None)
        command = RegisterClient(
            client_id=new_id("client"),
            tenant_id=tenant_id,
            name=name,
            secret_digest=digest,
            secret_hint=hint,
            redirect_uris=tuple(redirect_uris),
            post_logout_redirect_uris=tuple(post_logout_redirect_uris),
            backchannel_logout_uri=backchannel_logout_uri,
            grants=tuple(grants),
            scopes=tuple(scopes),
        )
        result = await self._ask(viewer, command, tenant_id, idempotency_key)
        if text is not None and result["client_id"] != command.client_id:
            raise secret_lost(result["client_id"])
        return MadeClient(public_client_id(tenant_id, result["client_id"]), result["name"], text)

    async def change(
        self,
        viewer: Viewer,
        tenant_id: str,
        client_id: str,
        *,
        name: str,
        redirect_uris: Sequence[str],
        post_logout_redirect_uris: Sequence[str],
        backchannel_logout_uri: str,
        grants: Sequence[Grant],
        scopes: Sequence[str],
        idempotency_key: str,
    ) -> None:
        row = await self._found(viewer, tenant_id, client_id)
        more = [scope for scope in scopes if scope not in row.scopes]
        require_own_rights(await self._platform.role(viewer.user_id, tenant_id), more)
        command = UpdateClient(
            client_id=row.client_id,
            tenant_id=tenant_id,
            name=name,
            redirect_uris=tuple(redirect_uris),
            post_logout_redirect_uris=tuple(post_logout_redirect_uris),
            backchannel_logout_uri=backchannel_logout_uri,
            grants=tuple(grants),
            scopes=tuple(scopes),
        )
        await self._ask(viewer, command, tenant_id, idempotency_key)

    async def roll(
        self, viewer: Viewer, tenant_id: str, client_id: str, *, grace_hours: int, idempotency_key: str
    ) -> MadeClient:
        row = await self._found(viewer, tenant_id, client_id)
        require_own_rights(await self._platform.role(viewer.user_id, tenant_id), row.scopes)
        text, digest, hint = new_secret()
        command = RollClientSecret(
            client_id=row.client_id,
            tenant_id=tenant_id,
            secret_digest=digest,
            secret_hint=hint,
            grace_seconds=grace_hours * 3600,
        )
        result = await self._ask(viewer, command, tenant_id, idempotency_key)
        if result["secret_hint"] != hint:
            raise secret_lost(row.client_id)
        return MadeClient(public_client_id(tenant_id, row.client_id), row.name, text)

    async def remove(self, viewer: Viewer, tenant_id: str, client_id: str, *, idempotency_key: str) -> str:
        row = await self._found(viewer, tenant_id, client_id, any_status=True)
        await self._ask(viewer, RemoveClient(client_id=row.client_id, tenant_id=tenant_id), tenant_id, idempotency_key)
        return row.name

    async def _ask(self, viewer: Viewer, command: Any, tenant_id: str, idempotency_key: str) -> dict[str, Any]:
        return await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )

    async def _found(self, viewer: Viewer, tenant_id: str, client_id: str, *, any_status: bool = False) -> ClientRow:
        await role_for(self._platform, viewer, tenant_id, "client.manage", any_status=any_status)
        row = None
        if is_id(client_id):
            async with self._platform.database.scope(tenant_id=tenant_id) as connection:
                row = await queries.client(connection, tenant_id, client_id)
        if row is None:
            raise NotFound("There is no such client.", code="client_not_found")
        return row


def _card(row: ClientRow, names: Mapping[str, str]) -> ClientCard:
    return ClientCard(
        id=row.client_id,
        public_id=public_client_id(row.tenant_id, row.client_id),
        name=row.name,
        confidential=row.confidential,
        hint=row.secret_hint,
        redirect_uris=row.redirect_uris,
        post_logout_redirect_uris=row.post_logout_redirect_uris,
        backchannel_logout_uri=row.backchannel_logout_uri,
        grants=row.grants,
        scopes=row.scopes,
        holder=None if row.held_by is None else names.get(row.held_by, row.held_by),
        created_at=row.created_at,
    )
