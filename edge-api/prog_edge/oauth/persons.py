"""Tokens about people who are signed in to a client: what is good, and what the client is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from prog_contracts.claims import claims_about
from prog_contracts.credentials import user_of_access_token, user_of_client_refresh_token
from prog_edge.oauth.clients import digest_of
from prog_edge.platform import Platform
from prog_workers.users.queries import clients as queries
from prog_workers.users.queries.clients import PersonTokenRow

_REFRESH_DIGEST = "client_refresh"
"""The purpose for which the users domain makes digests of clients' refresh tokens."""


async def find_access_token(platform: Platform, text: str) -> PersonTokenRow | None:
    """An access token that is good now, asked of the primary each time."""
    user_id = user_of_access_token(text)
    if user_id is None:
        return None
    async with platform.database.scope(user_id=user_id) as connection:
        return await queries.person_access_token(connection, user_id, digest_of(text), datetime.now(UTC))


async def find_refresh_token(platform: Platform, text: str) -> PersonTokenRow | None:
    """A refresh token that is good now and was not replaced."""
    user_id = user_of_client_refresh_token(text)
    if user_id is None:
        return None
    digests = platform.sealer.digests(text, _REFRESH_DIGEST)
    async with platform.database.scope(user_id=user_id) as connection:
        return await queries.client_refresh_token(connection, user_id, digests, datetime.now(UTC))


async def claims_for(platform: Platform, token: PersonTokenRow) -> dict[str, Any]:
    """What the scopes of a token tell of its person (OpenID Connect Core, section 5.4)."""
    person = await platform.person(token.user_id)
    return claims_about(person, token.scopes, platform.settings.public_url.rstrip("/"))
