"""OAuth clients of a tenant: list, register, change, give another secret, remove; and what people let clients know."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.credentials import public_client_id
from prog_contracts.errors import Conflict, Denied, NotFound
from prog_contracts.ids import is_id, new_id
from prog_contracts.inputs import NAME_MAX_LENGTH
from prog_contracts.oauth import Grant, RegisterClient, RemoveClient, RevokeConsent, RollClientSecret, UpdateClient
from prog_contracts.permissions import SCOPES, rights
from prog_contracts.tenants import TenantRole
from prog_edge.access import Access, Needs, SignedIn
from prog_edge.api.shapes import Body, Listing, Paging, Resource, problems
from prog_edge.oauth.clients import new_secret
from prog_edge.oauth.metadata import PERSON_SCOPES
from prog_edge.writes import Write, perform
from prog_workers.users.queries import clients as queries
from prog_workers.users.queries.clients import ClientRow

router = APIRouter(prefix="/v1", tags=["OpenID provider"])

GRACE_SECONDS: Final = 24 * 3600
GRACE_MAX_SECONDS: Final = 7 * 24 * 3600

Manages = Annotated[Access, Depends(Needs("client.manage"))]
Removes = Annotated[Access, Depends(Needs("client.manage", any_status=True))]
"""A client whose secret got out is found and ended in a tenant that is suspended or being deleted, too."""
Person = Annotated[Access, Depends(SignedIn())]
Shown = Annotated[Access, Depends(SignedIn(impersonated=True))]
ClientId = Annotated[str, Path(max_length=100)]
Scope = Annotated[str, Field(max_length=50, json_schema_extra={"enum": [*PERSON_SCOPES, *SCOPES]})]
RedirectUri = Annotated[str, Field(min_length=1, max_length=500)]
_ID: Final = "client_01jd7z4c8nf3ktv9q2m6x0r5we"
_PUBLIC_ID: Final = "prog_client_01jd7z4c8nf3ktv9q2m6x0r5we_01jd7z4c8nf3ktv9q2m6x0r5we"
_GRANTS: Final = ["authorization_code", "refresh_token"]
_SCOPES: Final = ["openid", "profile", "email", "offline_access"]
_URIS: Final = ["https://shop.example/signed-in"]

Name = Annotated[str, Field(min_length=1, max_length=NAME_MAX_LENGTH, examples=["Shop"])]
RedirectUris = Annotated[
    list[RedirectUri],
    Field(
        max_length=20,
        examples=[_URIS],
        description="Compared letter by letter with what a request says; but for a client without a secret, any port of"
        " `http://127.0.0.1` and `http://[::1]` is the same (RFC 8252).",
    ),
]
Grants = Annotated[
    list[Grant],
    Field(min_length=1, max_length=3, examples=[_GRANTS], description="How it gets tokens (RFC 6749)."),
]
Scopes = Annotated[
    list[Scope],
    Field(
        min_length=1,
        max_length=len(PERSON_SCOPES) + len(SCOPES),
        examples=[_SCOPES],
        description="What it may ask people for, and with client_credentials what it may do in the API by itself.",
    ),
]


PostLogoutRedirectUris = Annotated[
    list[RedirectUri],
    Field(
        max_length=20,
        examples=[["https://shop.example/signed-out"]],
        description="Where people may go when the client has had them signed out.",
    ),
]

BackchannelLogoutUri = Annotated[
    RedirectUri,
    Field(
        examples=["https://shop.example/backchannel-logout"],
        description="Is sent a logout token, signed as ID tokens are, when a session ends in which somebody has signed"
        " in to the client (OpenID Connect Back-Channel Logout 1.0). It names `sub` and, always, `sid`.",
    ),
]


class OAuthClient(Resource):
    """A program that people sign in to, or that calls the API by itself."""

    id: str = Field(examples=[_ID])
    client_id: str = Field(description="What the client calls itself in OAuth.", examples=[_PUBLIC_ID])
    name: str = Field(examples=["Shop"])
    confidential: bool = Field(description="It has a secret. One that has none is public, as an app on a phone is.")
    secret_hint: str | None = Field(description="The first characters of its secret.", examples=["q7Rk0b"])
    redirect_uris: list[str] = Field(examples=[_URIS])
    post_logout_redirect_uris: list[str] = Field(examples=[["https://shop.example/signed-out"]])
    backchannel_logout_uri: str | None = Field(examples=["https://shop.example/backchannel-logout"])
    grants: list[Grant] = Field(examples=[_GRANTS])
    scopes: list[Scope] = Field(examples=[_SCOPES])
    created_by: str
    held_by: str | None = Field(
        description="The person within whose rights it calls the API by itself, for they have seen the secret last."
        " Null when they have left the tenant."
    )
    created_at: datetime


class NewOAuthClient(OAuthClient):
    """A client with a secret that was just made, or none for a public one. This is the only time it is shown."""

    client_secret: str | None = Field(examples=["prog_secret_q7Rk0bV2mXc9LtNw4hZs8aGdYe3fPu2JS0K2aa81bb2"])


class ClientWish(Body):
    name: Name
    confidential: bool = Field(True, description="Whether it can keep a secret.")
    redirect_uris: RedirectUris = Field(default_factory=list)
    post_logout_redirect_uris: PostLogoutRedirectUris = Field(default_factory=list)
    backchannel_logout_uri: BackchannelLogoutUri | None = None
    grants: Grants
    scopes: Scopes


class ClientChange(Body):
    """What is left out stays. A `backchannel_logout_uri` of null takes it away."""

    name: Name | None = None
    redirect_uris: RedirectUris | None = None
    post_logout_redirect_uris: PostLogoutRedirectUris | None = None
    backchannel_logout_uri: BackchannelLogoutUri | None = None
    grants: Grants | None = None
    scopes: Scopes | None = None


class SecretRoll(Body):
    grace_seconds: int = Field(
        GRACE_SECONDS, ge=0, le=GRACE_MAX_SECONDS, description="How long the secret before is good for yet."
    )


class AuthorizedClient(Resource):
    """What the caller lets a client know."""

    id: str = Field(examples=[_ID])
    name: str = Field(examples=["Shop"])
    scopes: list[str] = Field(examples=[_SCOPES])
    given_at: datetime
    last_used_at: datetime | None = Field(description="Of late; null when it was longer ago.")


@router.get("/oauth-clients", responses=problems(401, 403))
async def list_oauth_clients(paging: Annotated[Paging, Query()], access: Removes) -> Listing[OAuthClient]:
    """The tenant's clients, newest first."""
    async with access.platform.database.scope(tenant_id=access.tenant) as connection:
        page = await queries.clients(connection, access.tenant, limit=paging.limit, cursor=paging.cursor)
    return Listing(data=[_of_row(row) for row in page.rows], next_cursor=page.next_cursor)


@router.get("/oauth-clients/{client_id}", responses=problems(401, 403, 404))
async def get_oauth_client(client_id: ClientId, access: Removes) -> OAuthClient:
    """One client."""
    return _of_row(await found_client(access, client_id))


@router.post("/oauth-clients", status_code=201, response_model=NewOAuthClient, responses=problems(401, 403, 409, 422))
async def register_oauth_client(body: ClientWish, request: Request, access: Manages) -> Response:
    """Register a client. Its secret is shown this once; the platform keeps a SHA-256 of it."""
    require_own_rights(access.role, body.scopes)
    text, digest, hint = new_secret() if body.confidential else (None, None, None)
    command = RegisterClient(
        client_id=new_id("client"),
        tenant_id=access.tenant,
        name=body.name,
        secret_digest=digest,
        secret_hint=hint,
        redirect_uris=tuple(body.redirect_uris),
        post_logout_redirect_uris=tuple(body.post_logout_redirect_uris),
        backchannel_logout_uri=body.backchannel_logout_uri,
        grants=tuple(body.grants),
        scopes=tuple(body.scopes),
    )

    def shown(result: Mapping[str, Any]) -> NewOAuthClient:
        if text is not None and result["client_id"] != command.client_id:
            raise secret_lost(result["client_id"])
        return NewOAuthClient(
            id=result["client_id"],
            client_id=public_client_id(access.tenant, result["client_id"]),
            name=result["name"],
            confidential=result["confidential"],
            secret_hint=result["secret_hint"],
            redirect_uris=result["redirect_uris"],
            post_logout_redirect_uris=result["post_logout_redirect_uris"],
            backchannel_logout_uri=result.get("backchannel_logout_uri"),
            grants=result["grants"],
            scopes=result["scopes"],
            created_by=result["created_by"],
            held_by=result["created_by"],
            created_at=result["created_at"],
            client_secret=text,
        )

    return await perform(request, access, Write(command, access.tenant, shown, status=201, location=_address))


@router.patch("/oauth-clients/{client_id}", response_model=OAuthClient, responses=problems(401, 403, 404, 422))
async def update_oauth_client(client_id: ClientId, body: ClientChange, request: Request, access: Manages) -> Response:
    """Change a client."""
    row = await found_client(access, client_id)
    require_own_rights(access.role, [scope for scope in body.scopes or () if scope not in row.scopes])
    command = UpdateClient(
        client_id=row.client_id,
        tenant_id=access.tenant,
        name=body.name,
        redirect_uris=None if body.redirect_uris is None else tuple(body.redirect_uris),
        post_logout_redirect_uris=(
            None if body.post_logout_redirect_uris is None else tuple(body.post_logout_redirect_uris)
        ),
        backchannel_logout_uri=(
            body.backchannel_logout_uri or "" if "backchannel_logout_uri" in body.model_fields_set else None
        ),
        grants=None if body.grants is None else tuple(body.grants),
        scopes=None if body.scopes is None else tuple(body.scopes),
    )

    def shown(result: Mapping[str, Any]) -> OAuthClient:
        names = ("redirect_uris", "post_logout_redirect_uris", "grants", "scopes")
        changed = {name: list(result[name]) for name in names}
        told_at = result.get("backchannel_logout_uri")
        return _of_row(row).model_copy(update={"name": result["name"], "backchannel_logout_uri": told_at, **changed})

    return await perform(request, access, Write(command, access.tenant, shown))


@router.post(
    "/oauth-clients/{client_id}/roll-secret",
    status_code=201,
    response_model=NewOAuthClient,
    responses=problems(401, 403, 404, 409, 422),
)
async def roll_oauth_client_secret(
    client_id: ClientId, body: SecretRoll, request: Request, access: Manages
) -> Response:
    """Give a client another secret; the one before ends after the grace. By itself it is the caller's from now on."""
    row = await found_client(access, client_id)
    require_own_rights(access.role, row.scopes)
    text, digest, hint = new_secret()
    command = RollClientSecret(
        client_id=row.client_id,
        tenant_id=access.tenant,
        secret_digest=digest,
        secret_hint=hint,
        grace_seconds=body.grace_seconds,
    )

    def shown(result: Mapping[str, Any]) -> NewOAuthClient:
        if result["secret_hint"] != hint:
            raise secret_lost(row.client_id)
        values = _of_row(row).model_dump() | {"secret_hint": hint, "held_by": result["rolled_by"]}
        return NewOAuthClient(**values, client_secret=text)

    return await perform(request, access, Write(command, access.tenant, shown, status=201, location=_address))


@router.delete("/oauth-clients/{client_id}", status_code=204, responses=problems(401, 403, 404))
async def remove_oauth_client(client_id: ClientId, request: Request, access: Removes) -> Response:
    """End a client for good, with all that people have let it know. It gets in nowhere after 5 seconds."""
    row = await found_client(access, client_id)
    command = RemoveClient(client_id=row.client_id, tenant_id=access.tenant)
    return await perform(request, access, Write(command, access.tenant, lambda _: None))


@router.get("/me/authorized-clients", responses=problems(401))
async def list_authorized_clients(access: Shown) -> Listing[AuthorizedClient]:
    """The clients that the caller has signed in to, and what they let each know."""
    async with access.platform.database.scope(user_id=access.caller.user_id) as connection:
        rows = await queries.consents(connection, access.caller.user_id)
    data = [
        AuthorizedClient(
            id=row.client_id,
            name=row.client_name,
            scopes=list(row.scopes),
            given_at=row.given_at,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]
    return Listing(data=data, next_cursor=None)


@router.delete("/me/authorized-clients/{client_id}", status_code=204, responses=problems(401, 404))
async def revoke_authorized_client(client_id: ClientId, request: Request, access: Person) -> Response:
    """Take back what a client may know. What it holds is worth nothing from now on."""
    async with access.platform.database.scope(user_id=access.caller.user_id) as connection:
        rows = await queries.consents(connection, access.caller.user_id)
    row = next((row for row in rows if row.client_id == client_id), None)
    if row is None:
        raise NotFound("This app has nothing of you.", code="consent_not_found")
    command = RevokeConsent(client_id=row.client_id, user_id=access.caller.user_id)
    return await perform(request, access, Write(command, row.client_tenant, lambda _: None))


def require_own_rights(role: TenantRole | None, scopes: Collection[str]) -> None:
    """Raises Denied for scopes of the API beyond what the person may do, and for staff, who are no members."""
    if role is None:
        raise Denied(
            "Members of the tenant make its clients: by itself one works within its maker's role.", code="no_member"
        )
    beyond = sorted(set(scopes).intersection(SCOPES) - rights(role))
    if beyond:
        raise Denied(f"The role {role} does not allow {', '.join(beyond)}.", code="scope_too_wide")


def secret_lost(client_id: str) -> Conflict:
    return Conflict(
        f"An earlier try made a secret of {client_id}, and its text was lost on the way. Roll it.",
        code="client_secret_lost",
    )


async def found_client(access: Access, client_id: str) -> ClientRow:
    if is_id(client_id) and client_id.startswith("client_"):
        async with access.platform.database.scope(tenant_id=access.tenant) as connection:
            row = await queries.client(connection, access.tenant, client_id)
        if row is not None:
            return row
    raise NotFound("There is no such client.", code="client_not_found")


def _address(client: Any) -> str:
    return f"/v1/oauth-clients/{client.id}"


def _of_row(row: ClientRow) -> OAuthClient:
    return OAuthClient(
        id=row.client_id,
        client_id=public_client_id(row.tenant_id, row.client_id),
        name=row.name,
        confidential=row.confidential,
        secret_hint=row.secret_hint,
        redirect_uris=list(row.redirect_uris),
        post_logout_redirect_uris=list(row.post_logout_redirect_uris),
        backchannel_logout_uri=row.backchannel_logout_uri,
        grants=list(row.grants),
        scopes=list(row.scopes),
        created_by=row.created_by,
        held_by=row.held_by,
        created_at=row.created_at,
    )
