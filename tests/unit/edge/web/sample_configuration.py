"""A configured tenant to look at: three versions, a logo, and colours of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO

from PIL import Image, ImageDraw

from prog_contracts.configuration import Branding, Configuration, MailSettings
from prog_contracts.errors import Conflict, NotFound, ProgError
from prog_contracts.tenants import TenantRole
from prog_edge.backend.configuration import stylesheet
from prog_edge.branding import Brand
from prog_edge.web.ports import (
    BrandView,
    ChangeView,
    ConfigurationView,
    Upload,
    UsageView,
    UseView,
    VersionView,
    Viewer,
)

NOW = datetime.now(UTC)
LOGO = "5f" * 16
DOCUMENTS = (
    Configuration(),
    Configuration(branding=Branding(name="Analytical Engines", accent_light="#0b6b4f")),
    Configuration(
        branding=Branding(name="Analytical Engines", logo=LOGO, accent_light="#0b6b4f", accent_dark="#5fd0a5"),
        mail=MailSettings(sender_name="Analytical Engines", support_address="help@engines.example"),
    ),
)
HISTORY = (
    VersionView(1, (), "The platform", NOW - timedelta(days=40), None, None),
    VersionView(2, ("branding.name", "branding.accent_light"), "Grace Hopper", NOW - timedelta(days=9), None, None),
    VersionView(
        3,
        ("branding.logo", "branding.accent_dark", "mail.sender_name", "mail.support_address"),
        "Ada Lovelace",
        NOW - timedelta(hours=3),
        "The new logo, since the merger",
        None,
    ),
)


def logo() -> bytes:
    picture = Image.new("RGBA", (64, 64))
    draw = ImageDraw.Draw(picture)
    draw.rounded_rectangle((0, 0, 63, 63), 14, fill="#0b6b4f")
    draw.ellipse((14, 14, 49, 49), outline="#ffffff", width=6)
    file = BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@dataclass
class SampleConfiguration:
    """Takes every form, but for what `refusal` says and for one that was made from an old version."""

    role: TenantRole = "owner"
    may_change: bool = True
    documents: Sequence[Configuration] = DOCUMENTS
    refusal: ProgError | None = None
    saved: list[tuple[Configuration, bool, str | None]] = field(default_factory=list)
    rolled_back: list[tuple[int, str | None]] = field(default_factory=list)

    async def view(self, viewer: Viewer, tenant_id: str, version: int | None = None) -> ConfigurationView:
        current = len(self.documents)
        shown = current if version is None else version
        if not 0 < shown <= current:
            raise NotFound("The configuration never had this version.")
        configuration = self.documents[shown - 1]
        earlier = self.documents[shown - 2] if shown > 1 else Configuration()
        return ConfigurationView(
            tenant_id=tenant_id,
            tenant_name="Analytical Engines",
            viewer_role=self.role,
            version=shown,
            current_version=current,
            configuration=configuration,
            changes=[ChangeView(name, *values) for name, values in earlier.changes(configuration).items()],
            history=HISTORY[:current][::-1],
            may_change=self.may_change,
            api_versions=[("2026-11-26", "2026-11-26, the newest"), ("2026-09-01", "2026-09-01, until next year")],
            logo_path=f"/brand/{tenant_id}/logo/{LOGO}.png" if configuration.branding.logo else None,
        )

    async def usage(self, viewer: Viewer, tenant_id: str) -> UsageView:
        next_month = (NOW.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0)
        return UsageView(
            tenant_id=tenant_id,
            tenant_name="Analytical Engines",
            viewer_role=self.role,
            plan="Growth",
            uses=(
                UseView("members", 9, 50, 18, None),
                UseView("api_keys", 84, 100, 84, None),
                UseView("events_per_month", 5_000_000, 5_000_000, 100, next_month),
            ),
            reads_per_minute=30_000,
            writes_per_minute=None,
        )

    async def save(
        self,
        viewer: Viewer,
        tenant_id: str,
        configuration: Configuration,
        *,
        logo: Upload | None,
        expected_version: int,
        reason: str | None,
        idempotency_key: str,
    ) -> int:
        self._check(expected_version)
        self.saved.append((configuration, logo is not None, reason))
        return expected_version + 1

    async def roll_back(
        self,
        viewer: Viewer,
        tenant_id: str,
        version: int,
        *,
        expected_version: int,
        reason: str | None,
        idempotency_key: str,
    ) -> int:
        self._check(expected_version)
        self.rolled_back.append((version, reason))
        return expected_version + 1

    def _check(self, expected_version: int) -> None:
        if self.refusal is not None:
            raise self.refusal
        if expected_version != len(self.documents):
            raise Conflict("The configuration has changed meanwhile.", code="version_mismatch")


@dataclass
class SampleBranding:
    """One tenant has looks of its own; `branded` is its id. Whoever has their name in `strangers` is no member."""

    branded: str | None = None
    strangers: tuple[str, ...] = ()

    async def for_member(self, viewer: Viewer, tenant_id: str) -> BrandView | None:
        if tenant_id != self.branded:
            return None
        brand = self._brand(tenant_id)
        return BrandView(brand.name, brand.logo_path, brand.style_path, brand.support_address)

    async def is_member(self, viewer: Viewer, tenant_id: str) -> bool:
        return viewer.name not in self.strangers

    async def for_site(self, tenant_id: str) -> BrandView | None:
        brand = self._brand(tenant_id)
        return BrandView(brand.name, brand.logo_path, brand.style_path, brand.support_address)

    async def style(self, tenant_id: str, version: int) -> str | None:
        return stylesheet(self._brand(tenant_id)) if (tenant_id, version) == (self.branded, 3) else None

    async def logo(self, tenant_id: str, logo_id: str) -> bytes | None:
        return logo() if (tenant_id, logo_id) == (self.branded, LOGO) else None

    def _brand(self, tenant_id: str) -> Brand:
        looks = DOCUMENTS[-1].branding
        return Brand(
            tenant_id=tenant_id,
            version=3,
            name="Analytical Engines",
            logo=looks.logo,
            accent_light=looks.accent_light,
            accent_dark=looks.accent_dark,
            support_address="help@engines.example",
        )
