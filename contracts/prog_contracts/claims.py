"""What an OAuth client is told of a person who has signed in to it (OpenID Connect Core, section 5).

ID tokens, which the users domain signs, and the UserInfo endpoint of the edge tell the same.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, Protocol

from prog_contracts.profiles import avatar_path


class Told(Protocol):
    """What there is to tell of a person; None is what they have not said."""

    @property
    def user_id(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def email_verified(self) -> bool: ...
    @property
    def name(self) -> str: ...
    @property
    def locale(self) -> str | None: ...
    @property
    def time_zone(self) -> str | None: ...
    @property
    def avatar_id(self) -> str | None: ...
    @property
    def updated_at(self) -> datetime: ...


def claims_about(person: Told, scopes: Collection[str], issuer: str) -> dict[str, Any]:
    """The claims that these scopes ask for (section 5.4). What a person has not said is left out."""
    claims: dict[str, Any] = {"sub": person.user_id}
    if "profile" in scopes:
        picture = None if person.avatar_id is None else issuer + avatar_path(person.user_id, person.avatar_id)
        told = {
            "name": person.name,
            "picture": picture,
            "locale": person.locale,
            "zoneinfo": person.time_zone,
            "updated_at": int(person.updated_at.timestamp()),
        }
        claims |= {name: value for name, value in told.items() if value is not None}
    if "email" in scopes:
        claims |= {"email": person.email, "email_verified": person.email_verified}
    return claims
