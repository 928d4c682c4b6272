"""API keys to look at: one in use, one that was rolled, one that is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from prog_contracts.errors import Denied, Invalid, NotFound, ProgError
from prog_contracts.permissions import SCOPES
from prog_edge.web.ports import ApiKeyCard, ApiKeysView, MadeKey, Viewer
from tests.unit.edge.web.sample_console import sample_id

NOW = datetime.now(UTC)
KEY = sample_id("apikey", 1)
TEXT = "prog_test_01jd7z4c8nf3ktv9q2m6x0r5we_q7Rk0bV2mXc9LtNw4hZs8aGdYe3fPu2JS0K2"

_KEYS = (
    ApiKeyCard(
        id=KEY,
        name="Order import",
        hint="q7Rk0b",
        scopes=("event.read", "event.publish"),
        status="active",
        maker="Ada Lovelace",
        created_at=NOW - timedelta(days=9),
        expires_at=NOW + timedelta(days=81),
        last_used_at=NOW - timedelta(minutes=3),
        rolled=False,
    ),
    ApiKeyCard(
        id=sample_id("apikey", 2),
        name="Bookkeeping",
        hint="Zx81aB",
        scopes=("billing.read",),
        status="active",
        maker="Grace Hopper",
        created_at=NOW - timedelta(days=60),
        expires_at=NOW + timedelta(hours=20),
        last_used_at=None,
        rolled=True,
    ),
    ApiKeyCard(
        id=sample_id("apikey", 3),
        name="Old importer",
        hint="00aaBB",
        scopes=SCOPES,
        status="revoked",
        maker="Charles Babbage",
        created_at=NOW - timedelta(days=300),
        expires_at=None,
        last_used_at=NOW - timedelta(days=31),
        rolled=False,
    ),
)


@dataclass
class SampleKeys:
    """Takes every form, but for what `refusal` says."""

    empty: bool = False
    manages: bool = True
    refusal: ProgError | None = None
    done: list[tuple[str, object]] = field(default_factory=list)

    async def keys(self, viewer: Viewer, tenant_id: str) -> ApiKeysView:
        if not self.manages:
            raise Denied("Your role (member) does not allow this.")
        return ApiKeysView(tenant_id, "Analytical Engines", () if self.empty else _KEYS, SCOPES)

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
        if self.refusal is not None:
            raise self.refusal
        if not scopes:
            raise Invalid.field("scopes", "required", "Choose what the key is for.")
        self.done.append(("make", (name, tuple(scopes), days)))
        return MadeKey(KEY, name, TEXT, None if days is None else NOW + timedelta(days=days))

    async def roll(
        self, viewer: Viewer, tenant_id: str, key_id: str, *, grace_hours: int, idempotency_key: str
    ) -> MadeKey:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(("roll", (key_id, grace_hours)))
        return MadeKey(KEY, "Order import", TEXT, None)

    async def revoke(self, viewer: Viewer, tenant_id: str, key_id: str, *, idempotency_key: str) -> str:
        if key_id != KEY:
            raise NotFound("There is no such API key.")
        self.done.append(("revoke", key_id))
        return "Order import"
