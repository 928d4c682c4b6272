"""Other identity providers that people may sign in with, and the identities of one's account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.identities import UnlinkIdentity
from prog_contracts.ids import is_id
from prog_edge.access import Access, SignedIn
from prog_edge.api.auth import Anybody, personal
from prog_edge.api.shapes import Listing, Resource, problems
from prog_edge.writes import perform
from prog_workers.users import queries

router = APIRouter(prefix="/v1", tags=["Sign-in"])

Me = Annotated[Access, Depends(SignedIn())]
Shown = Annotated[Access, Depends(SignedIn(impersonated=True))]


class Provider(Resource):
    """Whom people may sign in with. A browser that follows `start_url` comes back signed in."""

    name: str = Field(examples=["google"])
    title: str = Field(examples=["Google"])
    start_url: str = Field(examples=["https://app.example.com/v1/auth/oauth/google/start"])


class LinkedIdentity(Resource):
    """An identity of another provider that opens the caller's account."""

    id: str = Field(examples=["identity_01jd7z4c8nf3ktv9q2m6x0r5we"])
    provider: str = Field(examples=["google"])
    title: str = Field(examples=["Google"])
    issuer: str = Field(examples=["https://accounts.google.com"])
    email: str | None = Field(description="What the provider last told. It decides nothing.")
    linked_at: datetime
    last_used_at: datetime | None


@router.get("/auth/oauth")
async def list_identity_providers(visit: Anybody) -> Listing[Provider]:
    """Other identity providers that people may sign in with.

    Sign-in goes through the browser alone: `GET /v1/auth/oauth/{provider}/start?next=/account` leads to the provider,
    and `/v1/auth/oauth/{provider}/callback` (the redirect URI to register there) back into a session of the pages.
    """
    platform = visit.platform
    base = platform.settings.public_url.rstrip("/")
    found = [
        Provider(name=each.name, title=each.title, start_url=f"{base}/v1/auth/oauth/{each.name}/start")
        for each in platform.federation.providers.values()
    ]
    return Listing(data=found, next_cursor=None)


@router.get("/me/identities", responses=problems(401))
async def list_identities(access: Shown) -> Listing[LinkedIdentity]:
    """The identities that are linked to the caller's account; at most 100. The security page links others."""
    user_id = access.caller.user_id
    async with access.platform.database.scope(user_id=user_id) as connection:
        rows = await queries.identities(connection, user_id)
    found = [
        LinkedIdentity(
            id=row.identity_id,
            provider=row.provider,
            title=row.title,
            issuer=row.issuer,
            email=row.email,
            linked_at=row.linked_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]
    return Listing(data=found, next_cursor=None)


@router.delete("/me/identities/{identity_id}", status_code=204, responses=problems(401, 403, 404, 409))
async def unlink_identity(identity_id: Annotated[str, Path(max_length=100)], request: Request, access: Me) -> Response:
    """Unlink an identity, unless it is the only way in. Needs a sign-in of the last ten minutes."""
    if not (is_id(identity_id) and identity_id.startswith("identity_")):
        raise NotFound("There is no such linked account.", code="identity_not_found")
    command = UnlinkIdentity(
        user_id=access.caller.user_id,
        by_session_id=access.session_id,
        identity_id=identity_id,
        client_address=access.context.client_address,
    )
    return await perform(request, access, personal(command, lambda _: None))
