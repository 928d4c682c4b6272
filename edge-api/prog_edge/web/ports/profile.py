"""What the page about a person's profile needs, and whoever shows their picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from prog_contracts.profiles import Theme
from prog_edge.web.ports.configuration import Upload
from prog_edge.web.ports.shared import Viewer


@dataclass(frozen=True, slots=True)
class ProfileView:
    """What somebody is called and prefers; None is what they have not said."""

    name: str
    locale: str | None
    time_zone: str | None
    theme: Theme | None
    picture: str | None
    """The path of their picture."""


class ProfileBackend(Protocol):
    async def view(self, viewer: Viewer) -> ProfileView: ...

    async def save(
        self,
        viewer: Viewer,
        *,
        name: str,
        locale: str | None,
        time_zone: str | None,
        theme: Theme | None,
        idempotency_key: str,
    ) -> None:
        """Keeps all of it: None takes back what was said before. Raises Invalid for its fields."""
        ...

    async def set_picture(self, viewer: Viewer, picture: Upload) -> None:
        """Raises Invalid on `image`."""
        ...

    async def remove_picture(self, viewer: Viewer) -> None: ...

    async def picture(self, user_id: str, avatar_id: str) -> bytes | None:
        """Somebody's picture, as WebP; None where it is another one by now, or none."""
        ...
