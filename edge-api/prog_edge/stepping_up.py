"""What is dangerous asks for a sign-in of the last ten minutes, so that a session that was left open is not enough."""

from __future__ import annotations

from datetime import UTC, datetime

from prog_contracts.errors import Denied
from prog_edge.platform import Platform
from prog_workers.users import queries


async def require_fresh_sign_in(platform: Platform, user_id: str, session_id: str | None) -> None:
    """Raises Denied with code `fresh_sign_in_required`, for a program without a session too."""
    async with platform.database.scope(user_id=user_id) as connection:
        if session_id is not None and await queries.is_fresh_sign_in(connection, session_id, datetime.now(UTC)):
            return
    raise Denied("Sign in again first: this needs a sign-in of the last ten minutes.", code="fresh_sign_in_required")
