"""What a tenant's configuration may be: names and addresses in their one spelling, colours that can be read."""

from __future__ import annotations

import base64
import binascii
from hashlib import sha256
from typing import Final

from prog_contracts import colors
from prog_contracts.colors import Theme
from prog_contracts.configuration import LOGO_MAX_BYTES, Branding, Configuration, MailSettings
from prog_contracts.errors import FieldError, Invalid
from prog_contracts.inputs import clean_name, normalize_email

BRAND_NAME_MAX_LENGTH: Final = 60
LOGOS_MAX: Final = 50
"""Pictures that a tenant keeps, those of earlier versions among them."""
LOGO_MAX_WIDTH: Final = 640
LOGO_MAX_HEIGHT: Final = 320
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def checked_configuration(wanted: Configuration) -> Configuration:
    """The document as it is kept. Raises Invalid that names every field that is wrong."""
    wrong: list[FieldError] = []
    branding = _checked_branding(wanted.branding, wrong)
    mail = _checked_mail(wanted.mail, wrong)
    if wrong:
        raise Invalid(wrong[0].message, fields=wrong)
    return wanted.model_copy(update={"branding": branding, "mail": mail})


def _checked_branding(branding: Branding, wrong: list[FieldError]) -> Branding:
    accents: dict[Theme, str | None] = {"light": branding.accent_light, "dark": branding.accent_dark}
    for theme, color in accents.items():
        refusal = color_refusal(color, theme)
        if refusal is not None:
            wrong.append(FieldError(field=f"settings.branding.accent_{theme}", code="low_contrast", message=refusal))
    name = _name(branding.name, "settings.branding.name", wrong)
    return branding.model_copy(update={"name": name})


def _checked_mail(mail: MailSettings, wrong: list[FieldError]) -> MailSettings:
    return MailSettings(
        sender_name=_name(mail.sender_name, "settings.mail.sender_name", wrong),
        reply_to=_address(mail.reply_to, "settings.mail.reply_to", wrong),
        support_address=_address(mail.support_address, "settings.mail.support_address", wrong),
    )


def color_refusal(color: str | None, theme: Theme) -> str | None:
    """Why a colour cannot be the accent of a theme, with one that could; None when it can."""
    if color is None or colors.is_readable(color, theme):
        return None
    ratio, background = colors.worst(color, colors.BACKGROUNDS[theme])
    return (
        f"Text in {color} has a contrast of {ratio:.1f} to 1 on {background}, and {colors.AA} is the least that can be"
        f" read. {colors.nearest_readable(color, theme)} is near it and can be."
    )


def logo_id_of(content: bytes) -> str:
    return sha256(content).hexdigest()[:32]


def checked_logo(content: str, width: int, height: int) -> bytes:
    """The picture's bytes. Raises Invalid. What it shows the edge has drawn; here its form and size are held to it."""
    try:
        picture = base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        raise Invalid.field("image", "not_base64", "The picture is not in base64.") from None
    if not picture.startswith(_PNG):
        raise Invalid.field("image", "not_png", "A logo is kept as PNG.")
    if len(picture) > LOGO_MAX_BYTES:
        raise Invalid.field("image", "too_large", f"A logo has {LOGO_MAX_BYTES // 1024} KiB at most.")
    if not (0 < width <= LOGO_MAX_WIDTH and 0 < height <= LOGO_MAX_HEIGHT):
        raise Invalid.field("image", "too_large", f"A logo has {LOGO_MAX_WIDTH} by {LOGO_MAX_HEIGHT} pixels at most.")
    return picture


def _name(text: str | None, field: str, wrong: list[FieldError]) -> str | None:
    if text is None:
        return None
    try:
        return clean_name(text, field, max_length=BRAND_NAME_MAX_LENGTH)
    except Invalid as error:
        wrong.extend(error.fields)
        return None


def _address(text: str | None, field: str, wrong: list[FieldError]) -> str | None:
    if text is None:
        return None
    try:
        return normalize_email(text, field)
    except Invalid as error:
        wrong.extend(error.fields)
        return None
