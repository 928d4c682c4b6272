"""A directory to look at: groups with roles and without, and a key that is in use."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from prog_contracts.directory import DefaultRole, MappedRole
from prog_contracts.errors import Denied, NotFound, ProgError
from prog_edge.web.ports import ApiKeyCard, DirectoryGroupCard, DirectoryView, Viewer
from tests.unit.edge.web.sample_console import sample_id
from tests.unit.edge.web.sample_keys import NOW

GROUP = sample_id("dirgroup", 1)

_GROUPS = (
    DirectoryGroupCard(GROUP, "Engineering", "member", 214),
    DirectoryGroupCard(sample_id("dirgroup", 2), "IT administrators of the Analytical Engines Company", "admin", 3),
    DirectoryGroupCard(sample_id("dirgroup", 3), "Finance", None, 1),
)
_KEY = ApiKeyCard(
    id=sample_id("apikey", 9),
    name="Directory (SCIM)",
    hint="k3Zt9b",
    scopes=("scim.manage",),
    status="active",
    maker="Ada Lovelace",
    created_at=NOW - timedelta(days=20),
    expires_at=NOW + timedelta(days=345),
    last_used_at=NOW - timedelta(minutes=7),
    rolled=False,
)


@dataclass
class SampleDirectory:
    """Takes every form, but for what `refusal` says."""

    empty: bool = False
    manages: bool = True
    refusal: ProgError | None = None
    done: list[tuple[str, object]] = field(default_factory=list)

    async def directory(self, viewer: Viewer, tenant_id: str) -> DirectoryView:
        if not self.manages:
            raise Denied("Your role (member) does not allow this.")
        return DirectoryView(
            tenant_id=tenant_id,
            tenant_name="Analytical Engines",
            scim_url="https://app.example.com/scim/v2",
            default_role="member",
            users=0 if self.empty else 231,
            active=0 if self.empty else 226,
            joined=0 if self.empty else 198,
            groups=() if self.empty else _GROUPS,
            keys=() if self.empty else (_KEY,),
            may_make_key=True,
        )

    async def set_default(self, viewer: Viewer, tenant_id: str, *, role: DefaultRole, idempotency_key: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(("default", role))

    async def map_group(
        self, viewer: Viewer, tenant_id: str, group_id: str, *, role: MappedRole | None, idempotency_key: str
    ) -> str:
        if self.refusal is not None:
            raise self.refusal
        name = next((card.name for card in _GROUPS if card.id == group_id), None)
        if name is None:
            raise NotFound("There is no such group in the directory.")
        self.done.append(("map", (group_id, role)))
        return name
