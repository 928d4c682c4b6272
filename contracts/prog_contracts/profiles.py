"""Messages of the users domain about how a person is shown and wants to be shown things: preferences and a picture."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from prog_contracts.ids import UserId
from prog_contracts.messages import Command, command

Theme = Literal["light", "dark"]
"""How a person wants pages to look. Whoever has not said follows the system."""
Preference = Literal["locale", "time_zone", "theme"]

AVATAR_ID: Final = r"^[0-9a-f]{32}$"
AvatarId = Annotated[str, Field(pattern=AVATAR_ID)]
"""The first 128 bits of the SHA-256 of the picture as it is kept, in hexadecimal."""
AVATAR_MAX_BYTES: Final = 64 * 1024
"""Of a picture as it is kept."""
AVATAR_SIZE: Final = 256
"""Its width and height in pixels."""


def avatar_path(user_id: str, avatar_id: str) -> str:
    """Where a picture is served, to anybody: apps that people sign in to show it. Another picture is elsewhere."""
    return f"/avatars/{user_id}/{avatar_id}.webp"


@command("prognetwork.users.update_profile", key="user_id")
class UpdateProfile(Command):
    """Change what is given; the rest stays. `unset` takes back what was said before.

    `locale` is a language tag (BCP 47), `time_zone` a name of the IANA database.
    """

    user_id: UserId
    name: str | None = None
    locale: str | None = None
    time_zone: str | None = None
    theme: Theme | None = None
    unset: tuple[Preference, ...] = ()


@command("prognetwork.users.set_avatar", key="user_id")
class SetAvatar(Command):
    """Show a picture for a person. `sealed_picture` is a WebP in base64 that the edge has drawn, 256 pixels square."""

    user_id: UserId
    sealed_picture: str


@command("prognetwork.users.remove_avatar", key="user_id")
class RemoveAvatar(Command):
    user_id: UserId
