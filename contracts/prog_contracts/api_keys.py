"""Messages of the users domain about API keys: credentials of a tenant's programs.

No message carries a key's text. The edge makes it, shows it once, and sends its SHA-256, which gives nothing away of
178 random bits.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from prog_contracts.ids import ApiKeyId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event


@command("prognetwork.users.create_api_key", key="tenant_id", subject="key_id")
class CreateApiKey(Command):
    """Keep a key that the edge has made. The actor is its maker, within whose rights it works."""

    key_id: ApiKeyId
    tenant_id: TenantId
    name: str
    key_digest: str
    hint: str
    """The first characters of its secret part, by which people tell keys apart."""
    scopes: tuple[str, ...]
    expires_at: datetime | None = None
    limit: int | None = None
    """How many good keys the tenant's plan allows, as the edge knows it; never more than any tenant may have."""


@command("prognetwork.users.roll_api_key", key="tenant_id", subject="key_id")
class RollApiKey(Command):
    """Make a successor with the same name and scopes; the key itself is good for `grace_seconds` more.

    The successor is the actor's. Without `expires_at` it lives as long as the key was made to live.
    """

    key_id: ApiKeyId
    tenant_id: TenantId
    successor_id: ApiKeyId
    key_digest: str
    hint: str
    grace_seconds: int
    expires_at: datetime | None = None
    limit: int | None = None


@command("prognetwork.users.revoke_api_key", key="tenant_id", subject="key_id")
class RevokeApiKey(Command):
    key_id: ApiKeyId
    tenant_id: TenantId


class ApiKeyUse(BaseModel):
    """That a key was used, and from where."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key_id: ApiKeyId
    used_at: datetime
    client_address: str | None = None


@command("prognetwork.users.note_api_key_uses", key="tenant_id")
class NoteApiKeyUses(Command):
    """Note when keys of a tenant were last used. Sent by the edges, for each key once a minute at most."""

    tenant_id: TenantId
    uses: tuple[ApiKeyUse, ...] = Field(max_length=1000)


@event("prognetwork.users.api_key_created", key="tenant_id", subject="key_id")
class ApiKeyCreated(Event):
    """A key was made, in the place of `replaces` where it is a successor."""

    key_id: ApiKeyId
    tenant_id: TenantId
    name: str
    hint: str
    scopes: tuple[str, ...]
    created_by: UserId
    created_at: datetime
    expires_at: datetime | None = None
    replaces: ApiKeyId | None = None


@event("prognetwork.users.api_key_rolled", key="tenant_id", subject="key_id")
class ApiKeyRolled(Event):
    """A key has a successor, and itself ends at `expires_at`."""

    key_id: ApiKeyId
    tenant_id: TenantId
    name: str
    successor_id: ApiKeyId
    rolled_by: UserId
    expires_at: datetime


@event("prognetwork.users.api_key_revoked", key="tenant_id", subject="key_id")
class ApiKeyRevoked(Event):
    """A key is good no more. Nobody has revoked one that ended with its tenant, or with its maker's membership."""

    key_id: ApiKeyId
    tenant_id: TenantId
    name: str
    revoked_at: datetime
    reason: Literal["revoked", "maker_left", "tenant_deleted"]
    revoked_by: UserId | None = None
