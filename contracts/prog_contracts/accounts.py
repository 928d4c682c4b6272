"""Replies that are not events: what a command's caller gets back and nobody else sees."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from prog_contracts.ids import SessionId, UserId
from prog_contracts.users import PlatformRole


class TokenSet(BaseModel):
    """The credentials of a session. It travels sealed and is never logged or stored in clear."""

    model_config = ConfigDict(frozen=True)

    access_token: str
    refresh_token: str
    expires_in: int
    session_id: SessionId
    user_id: UserId
    platform_role: PlatformRole | None = None
