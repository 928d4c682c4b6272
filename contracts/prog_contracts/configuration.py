"""What a tenant sets for itself: one typed document with a version, and the messages that change it.

Every field has a default, so that an empty document is a good one and a field that is added later needs no migration.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from prog_contracts.ids import TenantId
from prog_contracts.messages import Command, Event, command, event

Locale = Literal["en_US", "en_GB", "en_IE", "en_AU", "en_CA", "en_IN"]
"""How dates and amounts are written. Mails are in English, so these are its countries."""

HEX_COLOR: Final = r"^#[0-9a-fA-F]{6}$"
LOGO_ID: Final = r"^[0-9a-f]{32}$"
Color = Annotated[str, StringConstraints(pattern=HEX_COLOR, to_lower=True)]
ApiVersion = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", examples=["2026-11-26"])]
LogoId = Annotated[str, Field(pattern=LOGO_ID)]
"""The first 128 bits of the SHA-256 of the picture as it is kept, in hexadecimal."""

LOGO_MAX_BYTES: Final = 128 * 1024
"""Of a picture as it is kept."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Branding(Section):
    """How the tenant's pages and mails look. Without a name it is the tenant's own."""

    name: str | None = None
    logo: LogoId | None = None
    accent_light: Color | None = None
    accent_dark: Color | None = None


class MailSettings(Section):
    """Who the tenant's mails are from, and where answers go."""

    sender_name: str | None = None
    reply_to: str | None = None
    support_address: str | None = None


class InvitationSettings(Section):
    lifetime_days: int = Field(7, ge=1, le=30)


class Configuration(Section):
    """The whole document."""

    branding: Branding = Branding()
    mail: MailSettings = MailSettings()
    locale: Locale = "en_US"
    invitations: InvitationSettings = InvitationSettings()
    api_version: ApiVersion | None = Field(
        None,
        description="The version of the API for requests about the tenant that name none, with whatever credential."
        " Null: people have the newest, and each API key what was the newest when it was made.",
    )

    def values(self) -> dict[str, Any]:
        """Every setting by its dotted name, such as `branding.name`."""
        found: dict[str, Any] = {}
        for name, value in self.model_dump(mode="json").items():
            found |= (
                {f"{name}.{inner}": part for inner, part in value.items()} if isinstance(value, dict) else {name: value}
            )
        return found

    def changes(self, later: Configuration) -> dict[str, tuple[Any, Any]]:
        """What is different in a later document: the values before and after by dotted name."""
        before, after = self.values(), later.values()
        return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


@command("prognetwork.tenants.configure_tenant", key="tenant_id")
class ConfigureTenant(Command):
    """Put a whole document in place. `expected_version` is the one it was made from; None takes any."""

    tenant_id: TenantId
    configuration: Configuration
    expected_version: int | None = None
    reason: str | None = None


@command("prognetwork.tenants.roll_back_configuration", key="tenant_id")
class RollBackConfiguration(Command):
    """Put the document of an earlier version in place again, as a new version."""

    tenant_id: TenantId
    version: int
    expected_version: int | None = None
    reason: str | None = None


@command("prognetwork.tenants.store_logo", key="tenant_id")
class StoreLogo(Command):
    """Keep a picture that a document may then name. `content` is a PNG in base64, drawn anew by the edge."""

    tenant_id: TenantId
    content: str
    width: int
    height: int


class ConfigurationVersion(BaseModel):
    """What a change is answered with: the version that holds after it. Version 0 is that of a tenant which never had
    one, made by nobody."""

    version: int = 0
    configuration: Configuration = Configuration()
    changed: tuple[str, ...] = ()
    changed_by: str | None = None
    changed_at: datetime | None = None
    reason: str | None = None
    restored_version: int | None = None


@event("prognetwork.tenants.tenant_configured", key="tenant_id")
class TenantConfigured(Event):
    """The tenant's document is now this one. `changed` names what is different from the version before."""

    tenant_id: TenantId
    version: int
    configuration: Configuration
    changed: tuple[str, ...] = ()
    reason: str | None = None
    restored_version: int | None = None


@event("prognetwork.tenants.logo_stored", key="tenant_id")
class LogoStored(Event):
    tenant_id: TenantId
    logo_id: str
    width: int
    height: int
    size_bytes: int
