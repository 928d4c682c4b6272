"""Decisions about how a person is shown, and wants to be shown things."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final
from zoneinfo import available_timezones

from babel import Locale, UnknownLocaleError

from prog_contracts.errors import FieldError, Invalid
from prog_contracts.inputs import clean_name
from prog_contracts.profiles import AVATAR_MAX_BYTES, Theme, UpdateProfile
from prog_workers.users.rules import collect

_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|[0-9]{3}))?")
"""Language, script and region of BCP 47 (RFC 5646, section 2.1): what decides how dates and amounts are written."""
_MAX_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person is called and has said. `changed` are names of its fields, as events tell them."""

    name: str
    locale: str | None = None
    time_zone: str | None = None
    theme: Theme | None = None
    avatar_id: str | None = None

    def changed(self, later: Profile) -> tuple[str, ...]:
        names = {"name": "name", "locale": "locale", "time_zone": "time_zone", "theme": "theme", "avatar": "avatar_id"}
        return tuple(told for told, field in names.items() if getattr(self, field) != getattr(later, field))


def changed_profile(profile: Profile, wish: UpdateProfile) -> Profile:
    """The profile as somebody wants it. Raises Invalid with all that is wrong."""
    problems: list[FieldError] = []
    said: dict[str, Any] = {} if wish.theme is None else {"theme": wish.theme}
    checks: tuple[tuple[str, str | None, Callable[[str], str]], ...] = (
        ("name", wish.name, clean_name),
        ("locale", wish.locale, checked_locale),
        ("time_zone", wish.time_zone, checked_time_zone),
    )
    for field, value, check in checks:
        if value is not None:
            said[field] = collect(problems, partial(check, value))
    if problems:
        raise Invalid(problems[0].message, fields=problems)
    said |= dict.fromkeys(wish.unset)
    return replace(profile, **said)


def checked_locale(text: str) -> str:
    """A language tag in its usual spelling, such as `pt-BR` of `pt-br`. Raises Invalid for one that is not known."""
    if len(text) <= _MAX_LENGTH and _TAG.fullmatch(text) is not None:
        try:
            return str(Locale.parse(text, sep="-")).replace("_", "-")
        except (UnknownLocaleError, ValueError):
            pass
    raise Invalid.field("locale", "unknown_locale", "This is no language tag that is known, such as en-GB or pt-BR.")


def checked_time_zone(text: str) -> str:
    """A name of the IANA database, letter by letter. Raises Invalid for any other."""
    if text not in _time_zones():
        raise Invalid.field("time_zone", "unknown_time_zone", "This is no time zone, such as Europe/London or UTC.")
    return text


@cache
def _time_zones() -> frozenset[str]:
    """All but those of the machine, and of who keeps other clocks than people do."""
    return frozenset(
        name for name in available_timezones() if name not in ("Factory", "localtime") and not name.startswith("right/")
    )


def checked_picture(text: str) -> tuple[str, bytes]:
    """A picture as the edge has drawn it, and the id that follows from it. Raises Invalid for anything else."""
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        content = b""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) > AVATAR_MAX_BYTES:
        raise Invalid.field("image", "not_a_picture", "This is no picture that can be kept.")
    return hashlib.sha256(content).hexdigest()[:32], content
