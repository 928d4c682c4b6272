"""The caller, and for the platform's staff everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from pydantic.config import JsonDict
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.ids import PLATFORM_TENANT_ID, is_id
from prog_contracts.inputs import NAME_MAX_LENGTH
from prog_contracts.profiles import RemoveAvatar, SetAvatar, Theme, UpdateProfile, avatar_path
from prog_contracts.tenants import TenantRole
from prog_contracts.users import PlatformRole, RevokeSessions, SecondFactor, SignInMethod
from prog_edge import avatars
from prog_edge.access import Access, SignedIn, Staff
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.devices import device_name
from prog_edge.pictures import from_base64
from prog_edge.writes import Write, perform
from prog_kit.pages import MAX_LIMIT
from prog_kit.secrets import PICTURE
from prog_workers.tenants import queries as tenants
from prog_workers.users import queries
from prog_workers.users.queries import SessionRow, UserRow

router = APIRouter(prefix="/v1", tags=["People"])

_PICTURE: Final = (
    "https://app.example.com/avatars/user_01jd7z4c8nf3ktv9q2m6x0r5we/9f86d081884c7d659a2feaa0c55ad015.webp"
)


class User(Resource):
    """A person's account."""

    id: str = Field(examples=["user_01jd7z4c8nf3ktv9q2m6x0r5we"])
    email: str
    name: str
    email_verified: bool
    status: Literal["active", "disabled"]
    platform_role: PlatformRole | None
    created_at: datetime
    erase_at: datetime | None = Field(
        None, description="When the account is deleted, unless it is restored before; null where it is not to be."
    )
    locale: str | None = Field(None, description="A language tag (BCP 47).", examples=["en-GB"])
    time_zone: str | None = Field(None, description="A name of the IANA database.", examples=["Europe/London"])
    theme: Theme | None = Field(None, description="How pages look; null follows the system.")
    picture: str | None = Field(
        None, description="Where the person's picture is: another one has another address.", examples=[_PICTURE]
    )
    updated_at: datetime


class OwnTenant(Resource):
    id: str
    name: str
    role: TenantRole


class Me(User):
    tenants: list[OwnTenant]


def _without_default(schema: JsonDict) -> None:
    """What is left out stays, so nothing stands for it."""
    del schema["default"]


class Profile(Body):
    """What is to change. What is left out stays; a preference that is null is taken back."""

    name: str = Field(
        "",
        min_length=1,
        max_length=NAME_MAX_LENGTH,
        examples=["Ada Lovelace"],
        json_schema_extra=_without_default,
    )
    locale: str | None = Field(None, max_length=64, description="A language tag (BCP 47).", examples=["en-GB"])
    time_zone: str | None = Field(
        None, max_length=64, description="A name of the IANA database.", examples=["Europe/London"]
    )
    theme: Theme | None = None


class PictureWish(Body):
    image: str = Field(
        min_length=1,
        max_length=(avatars.SENT_MAX_BYTES + 2) // 3 * 4,
        description="A PNG, JPEG or WebP picture in base64.",
        json_schema_extra={"contentEncoding": "base64"},
    )


class Session(Resource):
    """A session that goes on. `last_used_at` is when its tokens were last renewed: a few minutes ago, when in use."""

    id: str = Field(examples=["session_01jd7z4c8nf3ktv9q2m6x0r5we"])
    current: bool = Field(description="Whether it is the caller's own.")
    method: SignInMethod
    second_factor: SecondFactor | None = Field(description="What was proven beyond the method, if anything.")
    amr: list[str] = Field(description="The same in the words of RFC 8176.", examples=[["pwd", "otp", "mfa"]])
    device: str = Field(examples=["Firefox on Windows"])
    user_agent: str | None
    client_address: str | None = Field(examples=["192.0.2.7"])
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime = Field(description="When it ends if it is not used again.")


class Filters(Paging):
    search: str = Field("", max_length=200, description="Part of an address or a name, or a whole id.")
    role: PlatformRole | None = None
    verified: bool | None = None


@router.get("/me", responses=problems(401))
async def get_me(access: Annotated[Access, Depends(SignedIn(impersonated=True))]) -> Me:
    """The caller, with their tenants: the first 500, and all of them by GET /v1/tenants."""
    user_id = access.caller.user_id
    async with access.platform.database.scope(user_id=user_id) as connection:
        row = await queries.user(connection, user_id)
        own = await tenants.tenants_of(connection, user_id, limit=MAX_LIMIT)
    if row is None:
        raise NotFound("This account does not exist any more.")
    mine = [OwnTenant(id=item.tenant_id, name=item.name, role=item.role) for item in own.rows]
    return Me(**_fields(row, access.context.public_url), tenants=mine)


@router.patch("/me", response_model=User, responses=problems(401, 422))
async def change_me(body: Profile, request: Request, access: Annotated[Access, Depends(SignedIn())]) -> Response:
    """Change the caller's name or preferences."""
    said = body.model_dump(exclude_unset=True)
    unset = tuple(name for name, value in said.items() if value is None)
    command = UpdateProfile.model_validate({"user_id": access.caller.user_id, **said, "unset": unset})
    return await _change(request, access, command)


@router.put("/me/avatar", response_model=User, responses=problems(401, 413, 422, 503))
async def set_avatar(body: PictureWish, request: Request, access: Annotated[Access, Depends(SignedIn())]) -> Response:
    """Show a picture for the caller.

    It is decoded and drawn anew as a WebP, 256 pixels square, cut out of the middle, so nothing else that was in the
    file is kept. Whoever knows its address sees it: apps that the caller signs in to, and members of their tenants.
    """
    content = await avatars.drawn(from_base64(body.image))
    sealed = access.platform.sealer.seal(content, PICTURE)
    return await _change(request, access, SetAvatar(user_id=access.caller.user_id, sealed_picture=sealed))


@router.delete("/me/avatar", status_code=204, responses=problems(401))
async def remove_avatar(request: Request, access: Annotated[Access, Depends(SignedIn())]) -> Response:
    """Show the caller by the first letters of their name again."""
    command = RemoveAvatar(user_id=access.caller.user_id)
    response = await perform(request, access, Write(command, PLATFORM_TENANT_ID, lambda _: None))
    access.platform.people.forget(access.caller.user_id)
    return response


@router.get("/me/sessions", responses=problems(401))
async def list_sessions(access: Annotated[Access, Depends(SignedIn(impersonated=True))]) -> Listing[Session]:
    """The caller's sessions that go on, the last used first; at most 100."""
    user_id = access.caller.user_id
    async with access.platform.database.scope(user_id=user_id) as connection:
        rows = await queries.sessions_of(connection, user_id, datetime.now(UTC))
    current = access.caller.session_id
    return Listing(data=[_session(row, current) for row in rows], next_cursor=None)


@router.delete("/me/sessions", status_code=204, responses=problems(401, 403))
async def end_other_sessions(request: Request, access: Annotated[Access, Depends(SignedIn())]) -> Response:
    """Sign out everywhere else. Needs a sign-in of the last ten minutes."""
    return await perform(request, access, _revocation(access, None))


@router.delete("/me/sessions/{session_id}", status_code=204, responses=problems(401, 403, 404))
async def end_session(
    session_id: Annotated[str, Path(max_length=100)],
    request: Request,
    access: Annotated[Access, Depends(SignedIn())],
) -> Response:
    """End one session. The caller's own may be ended at any time, another one within ten minutes of a sign-in."""
    if not (is_id(session_id) and session_id.startswith("session_")):
        raise NotFound("There is no such session.", code="session_not_found")
    return await perform(request, access, _revocation(access, session_id))


@router.get("/users", responses=problems(401, 403, 422))
async def list_users(
    filters: Annotated[Filters, Query()], access: Annotated[Access, Depends(Staff("platform.read"))]
) -> Listing[User]:
    """Everybody's accounts, newest first."""
    async with access.platform.reader.operator() as connection:
        page = await queries.list_users(
            connection,
            search=filters.search,
            role=filters.role,
            verified=filters.verified,
            limit=filters.limit,
            cursor=filters.cursor,
        )
    public_url = access.context.public_url
    return Listing(data=[user_of(row, public_url) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/users/{user_id}", responses=problems(401, 403, 404))
async def get_user(
    user_id: Annotated[str, Path(max_length=100)], access: Annotated[Access, Depends(Staff("platform.read"))]
) -> User:
    """One account."""
    async with access.platform.reader.operator() as connection:
        row = await queries.user(connection, user_id)
    if row is None:
        raise NotFound("There is no such user.")
    return user_of(row, access.context.public_url)


async def _change(request: Request, access: Access, command: UpdateProfile | SetAvatar) -> Response:
    person = await access.platform.person(access.caller.user_id)

    def changed(result: Mapping[str, Any]) -> User:
        said = {name: result[name] for name in ("name", "locale", "time_zone", "theme", "avatar_id")}
        updated_at = datetime.now(UTC) if result["changed"] else person.updated_at
        return user_of(replace(person, **said, updated_at=updated_at), access.context.public_url)

    response = await perform(request, access, Write(command, PLATFORM_TENANT_ID, changed))
    access.platform.people.forget(person.user_id)
    return response


def _revocation(access: Access, session_id: str | None) -> Write:
    command = RevokeSessions(user_id=access.caller.user_id, by_session_id=access.session_id, session_id=session_id)
    return Write(command, PLATFORM_TENANT_ID, lambda _: None)


def _session(row: SessionRow, current: str | None) -> Session:
    return Session(
        id=row.session_id,
        current=row.session_id == current,
        method=row.method,
        second_factor=row.second_factor,
        amr=row.amr,
        device=device_name(row.user_agent),
        user_agent=row.user_agent,
        client_address=row.client_address,
        created_at=row.created_at,
        last_used_at=row.refreshed_at,
        expires_at=min(row.idle_until, row.expires_at),
    )


def user_of(row: UserRow, public_url: str) -> User:
    return User(**_fields(row, public_url))


def _fields(row: UserRow, public_url: str) -> dict[str, Any]:
    return {
        "id": row.user_id,
        "email": row.email,
        "name": row.name,
        "email_verified": row.email_verified,
        "status": row.status,
        "platform_role": row.platform_role,
        "created_at": row.created_at,
        "erase_at": row.erase_at,
        "locale": row.locale,
        "time_zone": row.time_zone,
        "theme": row.theme,
        "picture": None if row.avatar_id is None else public_url + avatar_path(row.user_id, row.avatar_id),
        "updated_at": row.updated_at,
    }
