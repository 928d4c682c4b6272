"""Sample data behind the profile page."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from prog_contracts.errors import Invalid
from prog_contracts.profiles import Theme, avatar_path
from prog_edge.web.ports import ProfileView, Upload, Viewer

AVATAR = "5f" * 16


@dataclass
class SampleProfile:
    profile: ProfileView = field(
        default_factory=lambda: ProfileView("Ada Lovelace", "en-GB", "Europe/London", None, None)
    )

    async def view(self, viewer: Viewer) -> ProfileView:
        return self.profile

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
        if not name:
            raise Invalid.field("name", "required", "Enter a name.")
        self.profile = replace(self.profile, name=name, locale=locale, time_zone=time_zone, theme=theme)

    async def set_picture(self, viewer: Viewer, picture: Upload) -> None:
        if not picture.content.startswith(b"\x89PNG"):
            raise Invalid.field("image", "not_a_picture", "Send a PNG, JPEG or WebP picture.")
        self.profile = replace(self.profile, picture=avatar_path(viewer.user_id, AVATAR))

    async def remove_picture(self, viewer: Viewer) -> None:
        self.profile = replace(self.profile, picture=None)

    async def picture(self, user_id: str, avatar_id: str) -> bytes | None:
        shown = self.profile.picture == avatar_path(user_id, avatar_id)
        return b"RIFF....WEBP" if shown else None
