"""A tenant's configuration as a form: what account and console have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, get_args

from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.requests import Request

from prog_contracts.configuration import (
    Branding,
    Configuration,
    InvitationSettings,
    Locale,
    MailSettings,
)
from prog_contracts.errors import FieldError, Invalid
from prog_edge.web.ports import ConfigurationView, Upload, Viewer, WebServices
from prog_edge.web.ui.forms import FormState, SentForm, form_key

LOCALES: Final[tuple[tuple[str, str], ...]] = tuple(
    zip(
        get_args(Locale),
        ("United States", "United Kingdom", "Ireland", "Australia", "Canada", "India"),
        strict=True,
    )
)
_WORDS: Final[Mapping[str, str]] = {
    "accent_light": "A colour is # and six digits, such as #2f52d6.",
    "accent_dark": "A colour is # and six digits, such as #8ea6ff.",
    "logo": "There is no such logo.",
    "locale": "Choose one of these.",
    "api_version": "Choose one of these.",
    "lifetime_days": "An invitation is open for 1 to 30 days.",
}
_MAX_PICTURE_BYTES: Final = 512 * 1024


@dataclass(frozen=True, slots=True)
class SettingsPage:
    """`path` is where the settings of this client are, `section` the tab."""

    template: ClassVar[str] = "account/settings.html"
    view: ConfigurationView
    form: FormState
    path: str
    section: str = "settings"
    manages_people: bool = False
    sees_billing: bool = False
    locales: Sequence[tuple[str, str]] = LOCALES


@dataclass(frozen=True, slots=True)
class SettingsVersionPage:
    template: ClassVar[str] = "account/settings_version.html"
    view: ConfigurationView
    form: FormState
    path: str
    section: str = "settings"
    manages_people: bool = False
    sees_billing: bool = False


def shown(configuration: Configuration) -> dict[str, str]:
    """The form's values."""
    return {
        name.rpartition(".")[2]: "" if value is None else str(value) for name, value in configuration.values().items()
    }


async def save(request: Request, web: WebServices, viewer: Viewer, tenant_id: str, values: SentForm) -> int:
    """Saves what the form says; the version that holds then. Raises Invalid for its fields."""
    return await web.configuration.save(
        viewer,
        tenant_id,
        _configuration_of(values),
        logo=await _upload(request),
        expected_version=whole_number(values.get("version", "")),
        reason=values.get("reason") or None,
        idempotency_key=form_key(values),
    )


async def roll_back(web: WebServices, viewer: Viewer, tenant_id: str, version: str, values: SentForm) -> int:
    return await web.configuration.roll_back(
        viewer,
        tenant_id,
        whole_number(version),
        expected_version=whole_number(values.get("version", "")),
        reason=values.get("reason") or None,
        idempotency_key=form_key(values),
    )


def whole_number(text: str) -> int:
    """A version as an address or a form has it; what is none is one that never was."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 2**31 - 1


def _configuration_of(values: SentForm) -> Configuration:
    def text(name: str) -> str | None:
        return values.get(name) or None

    try:
        return Configuration(
            branding=Branding(
                name=text("name"),
                logo=None if values.get("remove_logo") else text("logo"),
                accent_light=text("accent_light"),
                accent_dark=text("accent_dark"),
            ),
            mail=MailSettings(
                sender_name=text("sender_name"),
                reply_to=text("reply_to"),
                support_address=text("support_address"),
            ),
            locale=values.get("locale", ""),
            invitations=InvitationSettings(lifetime_days=values.get("lifetime_days", "")),
            api_version=text("api_version"),
        )
    except ValidationError as error:
        names = [str(item["loc"][-1]) for item in error.errors(include_url=False, include_input=False)]
        fields = [
            FieldError(field=name, code="invalid", message=_WORDS.get(name, "This is not valid.")) for name in names
        ]
        raise Invalid("Some settings are not valid.", fields=fields) from None


async def _upload(request: Request) -> Upload | None:
    """The picture that came along, if any; browsers send an empty file where none was chosen."""
    sent = (await request.form()).get("image")
    if not isinstance(sent, UploadFile) or not sent.filename:
        return None
    content = await sent.read(_MAX_PICTURE_BYTES + 1)
    return Upload(content) if content else None
