"""Behind the page about a person's profile, and behind their picture."""

from __future__ import annotations

from typing import Any

from prog_contracts.ids import PLATFORM_TENANT_ID, is_id
from prog_contracts.messages import Command
from prog_contracts.profiles import Preference, RemoveAvatar, SetAvatar, Theme, UpdateProfile, avatar_path
from prog_edge import avatars
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.web.ports import ProfileView, Upload, Viewer
from prog_kit.secrets import PICTURE
from prog_workers.users import queries


class Profile:
    """Implements `prog_edge.web.ports.ProfileBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def view(self, viewer: Viewer) -> ProfileView:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            row = await queries.user(connection, viewer.user_id)
        if row is None:
            return ProfileView(viewer.name, None, None, None, None)
        picture = None if row.avatar_id is None else avatar_path(row.user_id, row.avatar_id)
        return ProfileView(row.name, row.locale, row.time_zone, row.theme, picture)

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
        said: dict[Preference, Any] = {"locale": locale, "time_zone": time_zone, "theme": theme}
        command = UpdateProfile(
            user_id=viewer.user_id,
            name=name,
            unset=tuple(preference for preference, value in said.items() if value is None),
            locale=locale,
            time_zone=time_zone,
            theme=theme,
        )
        await self._send(viewer, command, idempotency_key)

    async def set_picture(self, viewer: Viewer, picture: Upload) -> None:
        content = await avatars.drawn(picture.content)
        await self._send(
            viewer, SetAvatar(user_id=viewer.user_id, sealed_picture=self._platform.sealer.seal(content, PICTURE))
        )

    async def remove_picture(self, viewer: Viewer) -> None:
        await self._send(viewer, RemoveAvatar(user_id=viewer.user_id))

    async def picture(self, user_id: str, avatar_id: str) -> bytes | None:
        if not (is_id(user_id) and user_id.startswith("user_")):
            return None
        return await self._platform.avatars.get(f"{user_id} {avatar_id}")

    async def _send(self, viewer: Viewer, command: Command, idempotency_key: str | None = None) -> None:
        await self._sender.ask(
            command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        self._platform.people.forget(viewer.user_id)
