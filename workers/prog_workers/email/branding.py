"""How mails look that are written in a tenant's name: its name, logo and colours, and who they are from.

Mails about the tenant itself (that it is ready, suspended, deleted) stay the platform's own, whatever is set: nobody is
to dress a notice of the platform up as something else.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from prog_contracts import colors
from prog_contracts.configuration import Configuration
from prog_contracts.email import Template

PLATFORM_NAME: Final = "ProgNetwork"
BRANDED: Final[frozenset[Template]] = frozenset(
    {"invitation", "receipt", "payment_failed", "payment_recovered", "subscription_canceled"}
)
"""Mails that are written in a tenant's name."""
FROM_A_SITE: Final[frozenset[Template]] = frozenset({"verify_email", "reset_password", "magic_link"})
"""Mails that somebody asks for, perhaps at a tenant's own host, and whose links open an account."""


@dataclass(frozen=True, slots=True)
class Brand:
    """What the layout of a mail needs. `logo_path` and `support_address` are None where there is none.

    `tenant_name` is whose bill a mail is about; None where that is not known.
    """

    name: str
    logo_path: str | None = None
    support_address: str | None = None
    button: str = "#1a1b1f"
    button_text: str = "#ffffff"
    dark_button: str = "#f3f3f0"
    dark_button_text: str = "#121316"
    own: bool = False
    """A tenant's, and not the platform's."""
    tenant_name: str | None = None


@dataclass(frozen=True, slots=True)
class TenantBrand:
    """What the email domain knows of a tenant."""

    tenant_id: str
    tenant_name: str | None
    configuration: Configuration


PLATFORM: Final = Brand(PLATFORM_NAME)


def brand_of(known: TenantBrand | None, template: Template) -> Brand:
    """How a mail of this template looks. A tenant that has set neither name nor logo nor colour uses the platform's."""
    if known is None or template not in BRANDED:
        return PLATFORM
    looks = known.configuration.branding
    support = known.configuration.mail.support_address
    name = looks.name or known.tenant_name
    if name is None or not any((looks.name, looks.logo, looks.accent_light, looks.accent_dark)):
        return Brand(PLATFORM_NAME, support_address=support, tenant_name=known.tenant_name)
    light, dark = looks.accent_light or PLATFORM.button, looks.accent_dark or PLATFORM.dark_button
    return Brand(
        name=name,
        logo_path=None if looks.logo is None else f"/brand/{known.tenant_id}/logo/{looks.logo}.png",
        support_address=support,
        button=light,
        button_text=_text_on(light),
        dark_button=dark,
        dark_button_text=_text_on(dark),
        own=True,
        tenant_name=known.tenant_name,
    )


def leads_to_site(template: Template, recipient: str, address_domains: Collection[str]) -> bool:
    """Whether a mail's link leads to a tenant's own host, where there is one.

    Whoever has the host's DNS sees what is opened there. A mail in the tenant's name opens nothing else.
    A link that opens an account leads there for addresses alone whose domain the tenant has proven, and so could read.
    """
    return template in BRANDED or (template in FROM_A_SITE and recipient.rpartition("@")[2] in address_domains)


def sender_name(known: TenantBrand | None, template: Template, platform: str) -> str:
    """Whom a mail is from: a tenant's name never stands alone, for the address beside it is the platform's."""
    if known is None or template not in BRANDED or not known.configuration.mail.sender_name:
        return platform
    return f"{known.configuration.mail.sender_name} via {platform or PLATFORM_NAME}"


def reply_to(known: TenantBrand | None, template: Template) -> str | None:
    return None if known is None or template not in BRANDED else known.configuration.mail.reply_to


def _text_on(color: str) -> str:
    return max(("#ffffff", "#121316"), key=lambda text: colors.contrast(text, color))
