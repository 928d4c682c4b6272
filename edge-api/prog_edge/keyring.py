"""API keys at the edge: making their text, and finding whose a presented one is.

A key is looked up by its SHA-256 within the tenant that its text names, as row-level security has it. A misspelt key,
or one of another kind of platform, is refused by its form alone. What was found is remembered for `FRESH_SECONDS`,
which bounds how long a revoked key still gets in; its expiry is compared each time. A key works while its maker is a
member of its tenant with an active account; what it may do follows from that member's role at the time
(`prog_edge.access`).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from prog_contracts.credentials import (
    API_KEY_ALPHABET,
    API_KEY_SECRET_LENGTH,
    KeyMode,
    api_key,
    hint_of_api_key,
    tenant_of_api_key,
)
from prog_contracts.ids import new_id
from prog_contracts.tenants import TenantRole
from prog_edge.directory import Remembered, role_in
from prog_kit.database import Database
from prog_kit.settings import Environment
from prog_workers.users.queries import UserRow
from prog_workers.users.queries import api_keys as queries
from prog_workers.users.queries.api_keys import ApiKeyRow


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made. `text` is shown once and then forgotten; the other parts are kept."""

    key_id: str
    text: str
    digest: str
    hint: str


@dataclass(frozen=True, slots=True)
class HeldKey:
    """The key that a caller has shown, or a token of an OAuth client's own, which is one for a while."""

    key_id: str
    tenant_id: str
    scopes: frozenset[str]
    digest: str
    kind: Literal["api_key", "client"] = "api_key"


def mode_of(environment: Environment) -> KeyMode:
    return "live" if environment == "production" else "test"


def new_key(mode: KeyMode, tenant_id: str) -> NewKey:
    secret = "".join(secrets.choice(API_KEY_ALPHABET) for _ in range(API_KEY_SECRET_LENGTH))
    text = api_key(mode, tenant_id, secret)
    return NewKey(new_id("apikey"), text, digest_of(text), hint_of_api_key(text))


def digest_of(text: str) -> str:
    """SHA-256, without a key and without stretching: 178 random bits need neither, and PROG_SECRET_KEYS may rotate."""
    return hashlib.sha256(text.encode()).hexdigest()


class KeyRing:
    """Finds keys that are good."""

    def __init__(
        self,
        database: Database,
        mode: KeyMode,
        people: Remembered[UserRow],
        memberships: Remembered[Mapping[str, TenantRole]],
    ) -> None:
        self.mode = mode
        self._people = people
        self._memberships = memberships
        self._rows: Remembered[ApiKeyRow] = Remembered(lambda place: _row(database, place))

    async def find(self, text: str) -> tuple[HeldKey, ApiKeyRow] | None:
        """The key, or None for one that is unknown, expired, revoked, or whose maker is no member any more."""
        tenant_id = tenant_of_api_key(text, self.mode)
        if tenant_id is None:
            return None
        digest = digest_of(text)
        row = await self._good(tenant_id, digest)
        return None if row is None else (HeldKey(row.key_id, tenant_id, row.scopes, digest), row)

    async def still_good(self, key: HeldKey) -> bool:
        """Whether a key that was good at the beginning of a long answer is so still, with the same scopes."""
        row = await self._good(key.tenant_id, key.digest)
        return row is not None and row.scopes == key.scopes

    async def _good(self, tenant_id: str, digest: str) -> ApiKeyRow | None:
        row = await self._rows.get(f"{tenant_id} {digest}")
        if row is None or row.status(datetime.now(UTC)) != "active":
            return None
        maker = await self._people.get(row.created_by)
        if maker is None or maker.status != "active":
            return None
        return None if await role_in(self._memberships, row.created_by, tenant_id) is None else row


async def _row(database: Database, place: str) -> ApiKeyRow | None:
    tenant_id, _, digest = place.partition(" ")
    async with database.scope(tenant_id=tenant_id) as connection:
        return await queries.api_key_of_digest(connection, tenant_id, digest)
