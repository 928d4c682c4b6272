"""What OAuth clients are told of people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from prog_contracts.claims import claims_about

ISSUER = "https://id.example"


@dataclass(frozen=True)
class Person:
    user_id: str = "user_1"
    email: str = "ada@example.com"
    email_verified: bool = True
    name: str = "Ada"
    locale: str | None = None
    time_zone: str | None = None
    avatar_id: str | None = None
    updated_at: datetime = datetime(2026, 1, 2, tzinfo=UTC)


def test_claims_are_those_of_the_scopes() -> None:
    said = Person(locale="en-GB", time_zone="Europe/London", avatar_id="5f" * 16)
    assert claims_about(said, ("openid",), ISSUER) == {"sub": "user_1"}
    assert claims_about(said, ("openid", "email"), ISSUER).keys() == {"sub", "email", "email_verified"}
    assert claims_about(said, ("profile",), ISSUER) == {
        "sub": "user_1",
        "name": "Ada",
        "picture": f"https://id.example/avatars/user_1/{'5f' * 16}.webp",
        "locale": "en-GB",
        "zoneinfo": "Europe/London",
        "updated_at": 1767312000,
    }


def test_what_a_person_has_not_said_is_left_out() -> None:
    assert claims_about(Person(), ("profile",), ISSUER).keys() == {"sub", "name", "updated_at"}
