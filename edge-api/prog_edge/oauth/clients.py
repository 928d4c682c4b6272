"""OAuth clients at the edge: which are registered, whose secret is right, and what their own tokens may do.

A client's `client_id` names its tenant, so that row-level security binds the look-up to it. What was found is
remembered for `FRESH_SECONDS`, which bounds how long a removed client, or a token that was given back, still gets in.
A client's own token works within the present role of whoever holds the client's secret, as an API key does within its
maker's.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from prog_contracts.credentials import (
    client_of,
    client_secret,
    hint_of_client_secret,
    is_client_secret,
    tenant_of_client_token,
)
from prog_contracts.tenants import TenantRole
from prog_edge.directory import Remembered, role_in
from prog_edge.keyring import HeldKey
from prog_kit.database import Database
from prog_kit.secrets import new_token
from prog_workers.users.queries import UserRow
from prog_workers.users.queries import clients as queries
from prog_workers.users.queries.clients import ClientRow, ClientTokenRow


def new_secret() -> tuple[str, str, str]:
    """A secret that was just made: its text, which is shown once, its digest, and the hint by which it is known."""
    text = client_secret(new_token())
    return text, digest_of(text), hint_of_client_secret(text)


def digest_of(text: str) -> str:
    """SHA-256, without a key and without stretching: 256 random bits need neither, and PROG_SECRET_KEYS may rotate."""
    return hashlib.sha256(text.encode()).hexdigest()


def shown_by(client: ClientRow, secret: str) -> ClientRow | None:
    """The client, as it is for whoever comes with this secret of it: `held_by` is whose that is.

    None for a text that is no secret of it which is good now.
    """
    if not is_client_secret(secret):
        return None
    digest, holders = digest_of(secret), client.holders(datetime.now(UTC))
    good = [each for each in holders if hmac.compare_digest(digest, each)]
    return replace(client, held_by=holders[good[0]]) if good else None


class ClientRing:
    """Finds clients and tokens that are good."""

    def __init__(
        self,
        database: Database,
        people: Remembered[UserRow],
        memberships: Remembered[Mapping[str, TenantRole]],
    ) -> None:
        self._people = people
        self._memberships = memberships
        self._clients: Remembered[ClientRow] = Remembered(lambda place: _client(database, place))
        self._tokens: Remembered[ClientTokenRow] = Remembered(lambda place: _token(database, place))

    async def find(self, public_id: str) -> ClientRow | None:
        """The client that calls itself so; None for one that is unknown or removed."""
        place = client_of(public_id)
        return None if place is None else await self._clients.get(" ".join(place))

    async def role_of_holder(self, client: ClientRow) -> TenantRole | None:
        """The present role of whoever holds the secret; None where nobody does who is a member with a good account."""
        return None if client.held_by is None else await self._role_of(client.held_by, client.tenant_id)

    async def find_token(self, text: str) -> tuple[HeldKey, ClientTokenRow] | None:
        """A client's own token, as the key that it is to the API; None for one that is not good."""
        tenant_id = tenant_of_client_token(text)
        if tenant_id is None:
            return None
        digest = digest_of(text)
        row, scopes = await self._good(tenant_id, digest)
        return None if row is None else (HeldKey(row.client_id, tenant_id, scopes, digest, "client"), row)

    async def still_good(self, key: HeldKey) -> bool:
        """Whether a token that was good at the beginning of a long answer is so still, with the same scopes."""
        row, scopes = await self._good(key.tenant_id, key.digest)
        return row is not None and scopes == key.scopes

    async def _good(self, tenant_id: str, digest: str) -> tuple[ClientTokenRow | None, frozenset[str]]:
        nothing = (None, frozenset[str]())
        row = await self._tokens.get(f"{tenant_id} {digest}")
        if row is None or datetime.now(UTC) >= row.expires_at:
            return nothing
        client = await self._clients.get(f"{tenant_id} {row.client_id}")
        if client is None or "client_credentials" not in client.grants:
            return nothing
        if row.held_by not in client.holders(datetime.now(UTC)).values():
            return nothing
        if await self._role_of(row.held_by, tenant_id) is None:
            return nothing
        return row, row.scopes.intersection(client.scopes)

    async def _role_of(self, holder: str, tenant_id: str) -> TenantRole | None:
        person = await self._people.get(holder)
        if person is None or person.status != "active":
            return None
        return await role_in(self._memberships, holder, tenant_id)


async def _client(database: Database, place: str) -> ClientRow | None:
    tenant_id, _, client_id = place.partition(" ")
    async with database.scope(tenant_id=tenant_id) as connection:
        return await queries.client(connection, tenant_id, client_id)


async def _token(database: Database, place: str) -> ClientTokenRow | None:
    tenant_id, _, digest = place.partition(" ")
    async with database.scope(tenant_id=tenant_id) as connection:
        return await queries.client_token(connection, tenant_id, digest)
