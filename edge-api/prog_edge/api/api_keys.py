"""Keys of a tenant's programs: list, make, roll, revoke. A key's text is in the answer that makes it alone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import AwareDatetime, Field
from starlette.responses import Response

from prog_contracts.api_keys import CreateApiKey, RevokeApiKey, RollApiKey
from prog_contracts.errors import Conflict, Denied, NotFound
from prog_contracts.ids import is_id
from prog_contracts.inputs import NAME_MAX_LENGTH
from prog_contracts.permissions import SCOPES, rights
from prog_contracts.tenants import TenantRole
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.keyring import NewKey, new_key
from prog_edge.writes import Write, perform
from prog_workers.users.queries import api_keys as queries
from prog_workers.users.queries.api_keys import ApiKeyRow

router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])

GRACE_SECONDS: Final = 24 * 3600
GRACE_MAX_SECONDS: Final = 7 * 24 * 3600

Manages = Annotated[Access, Depends(Needs("api_key.manage"))]
Revokes = Annotated[Access, Depends(Needs("api_key.manage", any_status=True))]
"""A key that got out is found and ended in a tenant that is suspended or being deleted, too."""
KeyId = Annotated[str, Path(max_length=100)]
Scope = Annotated[str, Field(max_length=50, json_schema_extra={"enum": list(SCOPES)})]
_KEY_ID: Final = "apikey_01jd7z4c8nf3ktv9q2m6x0r5we"
_SCOPES: Final = ["event.read", "event.publish"]


class ApiKey(Resource):
    """A key of a program. Times are by the wall clock, also where the tenant has a test clock."""

    id: str = Field(examples=[_KEY_ID])
    name: str = Field(examples=["Order import"])
    hint: str = Field(description="The first characters of its secret, to tell keys apart.", examples=["q7Rk0b"])
    scopes: list[Scope] = Field(examples=[_SCOPES])
    status: Literal["active", "expired", "revoked"]
    created_by: str = Field(description="The person who made it. It does nothing that their role does not allow now.")
    created_at: datetime
    expires_at: datetime | None = Field(description="Null is never.")
    last_used_at: datetime | None = Field(description="To about a minute.")
    last_used_address: str | None = Field(examples=["192.0.2.7"])
    revoked_at: datetime | None
    replaces: str | None = Field(description="The key that it is the successor of.")
    replaced_by: str | None = Field(description="Its successor.")


class NewApiKey(ApiKey):
    """A key that was just made. This is the only time that `key` is shown."""

    key: str = Field(examples=["prog_test_01jd7z4c8nf3ktv9q2m6x0r5we_q7Rk0bV2mXc9LtNw4hZs8aGdYe3fPu2JS0K2"])


class ApiKeyWish(Body):
    name: str = Field(min_length=1, max_length=NAME_MAX_LENGTH, examples=["Order import"])
    scopes: list[Scope] = Field(
        min_length=1,
        max_length=len(SCOPES),
        examples=[_SCOPES],
        description="What the key is for: permissions that the caller has.",
    )
    expires_at: AwareDatetime | None = Field(None, examples=["2027-11-26T00:00:00Z"], description="Null is never.")


class Roll(Body):
    grace_seconds: int = Field(
        GRACE_SECONDS, ge=0, le=GRACE_MAX_SECONDS, description="How long the key itself is good for yet."
    )
    expires_at: AwareDatetime | None = Field(
        None, description="When the successor ends. By default it lives as long as the key was made to live."
    )


@router.get("", responses=problems(401, 403))
async def list_api_keys(paging: Annotated[Paging, Query()], access: Revokes) -> Listing[ApiKey]:
    """The tenant's keys, also those that are over, newest first."""
    async with access.platform.database.scope(tenant_id=access.tenant) as connection:
        page = await queries.api_keys(connection, access.tenant, limit=paging.limit, cursor=paging.cursor)
    return Listing(data=[_of_row(row) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/{key_id}", responses=problems(401, 403, 404))
async def get_api_key(key_id: KeyId, access: Revokes) -> ApiKey:
    """One key."""
    return _of_row(await _found(access, key_id))


@router.post("", status_code=201, response_model=NewApiKey, responses=problems(401, 403, 409, 422))
async def create_api_key(body: ApiKeyWish, request: Request, access: Manages) -> Response:
    """Make a key. Its text is shown this once; the platform keeps a SHA-256 of it.

    It may do what its scopes and the role of its maker both allow, at each call; so it stops when the maker leaves. A
    key makes no keys. Answered in time or not at all (503): then a key that nobody holds may be in the list.
    """
    require_own_rights(access.role, body.scopes)
    made = new_key(access.platform.keyring.mode, access.tenant)
    command = CreateApiKey(
        key_id=made.key_id,
        tenant_id=access.tenant,
        name=body.name,
        key_digest=made.digest,
        hint=made.hint,
        scopes=tuple(body.scopes),
        expires_at=body.expires_at,
        limit=await access.platform.limit(access.tenant, "api_keys"),
    )
    return await perform(request, access, _write(access, command, made))


@router.post("/{key_id}/roll", status_code=201, response_model=NewApiKey, responses=problems(401, 403, 404, 409, 422))
async def roll_api_key(key_id: KeyId, body: Roll, request: Request, access: Manages) -> Response:
    """Make a successor with the same name and scopes, as a key of the caller's. The key itself ends after the grace."""
    row = await _found(access, key_id)
    require_own_rights(access.role, row.scopes)
    made = new_key(access.platform.keyring.mode, access.tenant)
    command = RollApiKey(
        key_id=row.key_id,
        tenant_id=access.tenant,
        successor_id=made.key_id,
        key_digest=made.digest,
        hint=made.hint,
        grace_seconds=body.grace_seconds,
        expires_at=body.expires_at,
        limit=await access.platform.limit(access.tenant, "api_keys"),
    )
    return await perform(request, access, _write(access, command, made))


@router.delete("/{key_id}", status_code=204, responses=problems(401, 403, 404))
async def revoke_api_key(key_id: KeyId, request: Request, access: Revokes) -> Response:
    """End a key for good. It gets in nowhere after 5 seconds; a stream that it holds open ends within 15."""
    row = await _found(access, key_id)
    command = RevokeApiKey(key_id=row.key_id, tenant_id=access.tenant)
    return await perform(request, access, Write(command, access.tenant, lambda _: None))


def require_own_rights(role: TenantRole | None, scopes: Collection[str]) -> None:
    """Raises Denied for scopes beyond what the person may do, and for staff, who are no members.

    What is no scope at all the domain refuses.
    """
    if role is None:
        raise Denied("Members of the tenant make its API keys: a key works within its maker's role.", code="no_member")
    beyond = sorted(set(scopes).intersection(SCOPES) - rights(role))
    if beyond:
        raise Denied(f"The role {role} does not allow {', '.join(beyond)}.", code="scope_too_wide")


def made_now(result: Mapping[str, Any], made: NewKey) -> None:
    """Raises Conflict when the key that was kept is that of an earlier try, whose text nobody was shown."""
    if result["key_id"] != made.key_id:
        raise Conflict(
            f"An earlier try made the key {result['key_id']}, and its text was lost on the way. Revoke it, and make"
            " another.",
            code="api_key_text_lost",
        )


def _write(access: Access, command: CreateApiKey | RollApiKey, made: NewKey) -> Write:
    def shown(result: Mapping[str, Any]) -> NewApiKey:
        made_now(result, made)
        return NewApiKey(
            id=result["key_id"],
            name=result["name"],
            hint=result["hint"],
            scopes=result["scopes"],
            status="active",
            created_by=result["created_by"],
            created_at=result["created_at"],
            expires_at=result["expires_at"],
            last_used_at=None,
            last_used_address=None,
            revoked_at=None,
            replaces=result["replaces"],
            replaced_by=None,
            key=made.text,
        )

    return Write(command, access.tenant, shown, status=201, location=_address)


async def _found(access: Access, key_id: str) -> ApiKeyRow:
    if is_id(key_id) and key_id.startswith("apikey_"):
        async with access.platform.database.scope(tenant_id=access.tenant) as connection:
            row = await queries.api_key(connection, access.tenant, key_id)
        if row is not None:
            return row
    raise NotFound("There is no such API key.", code="api_key_not_found")


def _address(key: Any) -> str:
    return f"/v1/api-keys/{key.id}"


def _of_row(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.key_id,
        name=row.name,
        hint=row.hint,
        scopes=[scope for scope in SCOPES if scope in row.scopes],
        status=row.status(datetime.now(UTC)),
        created_by=row.created_by,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        last_used_address=row.last_used_address,
        revoked_at=row.revoked_at,
        replaces=row.replaces,
        replaced_by=row.replaced_by,
    )
