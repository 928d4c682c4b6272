"""Where OAuth clients ask: for tokens, what a token is worth, to give one back, and who has signed in to them.

Requests and answers are in OAuth's own forms (RFC 6749, 7009, 7662, OpenID Connect Core) and not in this API's: a
client proves itself by its secret, parameters come as a form, and errors are told as `error` and `error_description`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from prog_contracts.actors import actor_of_key
from prog_contracts.credentials import (
    is_authorization_code,
    public_client_id,
    tenant_of_client_token,
    user_of_access_token,
    user_of_client_refresh_token,
)
from prog_contracts.errors import ProgError
from prog_contracts.messages import Command
from prog_contracts.oauth import (
    ExchangeCode,
    IssueClientToken,
    IssuedTokens,
    RefreshAuthorization,
    RevokeToken,
)
from prog_contracts.permissions import SCOPES, rights
from prog_edge.access import platform_of
from prog_edge.context import context_of
from prog_edge.oauth import persons
from prog_edge.oauth.asking import (
    MEDIA_TYPE,
    OAuthError,
    ask,
    authenticate,
    json_of,
    of_domain,
    read_form,
    require_grant,
    required,
    unstored,
)
from prog_edge.oauth.metadata import AUTHORIZE, END_SESSION, INTROSPECT, PERSON_SCOPES, REVOKE, TOKEN, USERINFO
from prog_edge.platform import Platform
from prog_kit.secrets import TOKEN as TOKEN_PURPOSE
from prog_workers.users.queries.clients import ClientRow

router = APIRouter(tags=["OpenID provider"])

Granted = Callable[[Platform, ClientRow, dict[str, str]], Awaitable[IssuedTokens]]


def _described(properties: dict[str, str], example: dict[str, str]) -> dict[str, Any]:
    """A form in OpenAPI; what the example has is required."""
    schema = {
        "type": "object",
        "required": list(example),
        "examples": [example],
        "properties": {name: {"type": "string", "description": text} for name, text in properties.items()},
    }
    return {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": schema}}}}


_CLIENT: Final = {
    "client_id": "Where the client does not prove itself with Basic.",
    "client_secret": "Of a confidential client, where it does not prove itself with Basic.",
}
_TOKEN: Final = {"token": "prog_machine_01jd7z4c8nf3ktv9q2m6x0r5we_q7Rk0bV2mXc9LtNw4hZs8aGdYe3fPu2JS0K2aa81bb2"}
_PUBLIC_ID: Final = "prog_client_01jd7z4c8nf3ktv9q2m6x0r5we_01jd7z4c8nf3ktv9q2m6x0r5we"


def _error(error: str, description: str) -> dict[str, Any]:
    """An answer that says what is wrong as OAuth calls it (RFC 6749, section 5.2)."""
    schema = {
        "type": "object",
        "required": ["error"],
        "examples": [{"error": error, "error_description": description}],
        "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
    }
    return {"description": "What is wrong, as OAuth calls it", "content": {"application/json": {"schema": schema}}}


def _success(description: str, example: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "examples": [example]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


_OF_CLIENT: Final[dict[int | str, dict[str, Any]]] = {
    400: _error("invalid_request", "The parameter token is missing."),
    401: _error("invalid_client", "The client is unknown, or its secret is not good."),
}


@router.post(
    TOKEN,
    response_class=Response,
    responses={
        200: _success(
            "The tokens (RFC 6749, section 5.1)",
            {"access_token": _TOKEN["token"], "token_type": "Bearer", "expires_in": 3600, "scope": "event.read"},
        ),
        **_OF_CLIENT,
        400: _error("invalid_grant", "The code or token is not good."),
    },
    openapi_extra=_described(
        {
            "grant_type": "authorization_code, refresh_token or client_credentials.",
            "code": "What people came back with.",
            "redirect_uri": "The address that they came back to.",
            "code_verifier": "What the challenge was made of (RFC 7636).",
            "refresh_token": "The newest that the client has.",
            "scope": "For less than the client has.",
            **_CLIENT,
        },
        {"grant_type": "client_credentials"},
    ),
)
async def issue_token(request: Request) -> Response:
    """Tokens for a code, for a refresh token, or for the client itself."""
    platform = platform_of(request)
    form = await read_form(request)
    client = await authenticate(request, platform, form)
    grant = required(form, "grant_type")
    if grant not in _GRANTS:
        raise OAuthError("unsupported_grant_type", "There is no such grant.")
    require_grant(client, grant)
    await _require_open(platform, client)
    issued = await _GRANTS[grant](platform, client, form)
    body: dict[str, Any] = {
        "access_token": issued.access_token,
        "token_type": "Bearer",
        "expires_in": issued.expires_in,
        "scope": " ".join(issued.scopes),
        "refresh_token": issued.refresh_token,
        "id_token": issued.id_token,
    }
    return json_of({name: value for name, value in body.items() if value is not None})


async def _exchange(platform: Platform, client: ClientRow, form: dict[str, str]) -> IssuedTokens:
    code, verifier = required(form, "code"), required(form, "code_verifier")
    if not is_authorization_code(code):
        raise OAuthError("invalid_grant", "The code or token is not good.")
    command = ExchangeCode(
        client_id=client.client_id,
        redirect_uri=required(form, "redirect_uri"),
        sealed_code=platform.sealer.seal(code, TOKEN_PURPOSE),
        sealed_verifier=platform.sealer.seal(verifier, TOKEN_PURPOSE),
    )
    return await _issued(platform, client, command, client.client_id)


async def _refresh(platform: Platform, client: ClientRow, form: dict[str, str]) -> IssuedTokens:
    token = required(form, "refresh_token")
    user_id = user_of_client_refresh_token(token)
    if user_id is None:
        raise OAuthError("invalid_grant", "The code or token is not good.")
    wanted = form["scope"].split() if "scope" in form else None
    if wanted is not None and not set(wanted) <= set(PERSON_SCOPES):
        raise OAuthError("invalid_scope", "The client may not ask for all of these scopes.")
    command = RefreshAuthorization(
        client_id=client.client_id,
        user_id=user_id,
        sealed_refresh_token=platform.sealer.seal(token, TOKEN_PURPOSE),
        scopes=None if wanted is None else tuple(scope for scope in PERSON_SCOPES if scope in wanted),
    )
    return await _issued(platform, client, command, client.client_id)


async def _for_itself(platform: Platform, client: ClientRow, form: dict[str, str]) -> IssuedTokens:
    """Within the present rights of whoever holds the secret; without a wish, all that the client is made for."""
    role = await platform.clients.role_of_holder(client)
    if client.held_by is None or role is None:
        raise OAuthError("unauthorized_client", "Whoever held the client's secret has left: roll it first.")
    of_client = set(client.scopes).intersection(SCOPES)
    wanted = set(form["scope"].split()) if "scope" in form else of_client
    if not wanted <= of_client:
        raise OAuthError("invalid_scope", "The client may not ask for all of these scopes.")
    granted = wanted & rights(role, of_client)
    if not granted:
        raise OAuthError("invalid_scope", "The role of whoever holds the client's secret allows none of these scopes.")
    command = IssueClientToken(client_id=client.client_id, scopes=tuple(sorted(granted)))
    return await _issued(platform, client, command, actor_of_key(client.held_by, client.client_id))


_GRANTS: Final[dict[str, Granted]] = {
    "authorization_code": _exchange,
    "refresh_token": _refresh,
    "client_credentials": _for_itself,
}


@router.post(AUTHORIZE, response_class=Response, include_in_schema=False)
async def post_authorize(request: Request) -> Response:
    """A client may send people with a form, too (OpenID Connect Core, 3.1.2.1): they go on as with an address."""
    return unstored(RedirectResponse(f"{AUTHORIZE}?{urlencode(await read_form(request))}", status_code=303))


@router.post(END_SESSION, response_class=Response, include_in_schema=False)
async def post_end_session(request: Request) -> Response:
    """The same for signing out (OpenID Connect RP-Initiated Logout, section 2)."""
    return unstored(RedirectResponse(f"{END_SESSION}?{urlencode(await read_form(request))}", status_code=303))


@router.post(
    INTROSPECT,
    response_class=Response,
    responses={
        200: _success(
            "What the token is worth (RFC 7662)",
            {
                "active": True,
                "iss": "https://app.example.com",
                "client_id": _PUBLIC_ID,
                "sub": _PUBLIC_ID,
                "token_type": "Bearer",
                "scope": "event.read",
                "tenant_id": "tenant_01jd7z4c8nf3ktv9q2m6x0r5we",
                "iat": 1801386000,
                "exp": 1801389600,
            },
        ),
        **_OF_CLIENT,
    },
    openapi_extra=_described(
        {"token": "Of a client of the same tenant.", "token_type_hint": "Not heard.", **_CLIENT}, _TOKEN
    ),
)
async def introspect_token(request: Request) -> Response:
    """Whether a token of a client of the same tenant is good, and for what. Takes a client with a secret."""
    platform = platform_of(request)
    form = await read_form(request)
    client = await authenticate(request, platform, form)
    if not client.confidential:
        raise OAuthError("unauthorized_client", "This takes a client with a secret.")
    return json_of(await _worth(platform, client, required(form, "token")) or {"active": False})


async def _worth(platform: Platform, asks: ClientRow, token: str) -> dict[str, Any] | None:
    """What a token is worth; None for whatever is not good, or of no client of the tenant of the one that asks."""
    issuer = platform.settings.public_url.rstrip("/")
    if tenant_of_client_token(token) == asks.tenant_id:
        found = await platform.clients.find_token(token)
        if found is None:
            return None
        key, row = found
        role = await platform.role(row.held_by, row.tenant_id)
        public_id = public_client_id(row.tenant_id, row.client_id)
        return {
            "active": True, "iss": issuer, "client_id": public_id, "sub": public_id, "token_type": "Bearer",
            "scope": " ".join(sorted(rights(role, key.scopes))), "tenant_id": row.tenant_id,
            "iat": int(row.issued_at.timestamp()), "exp": int(row.expires_at.timestamp()),
        }  # fmt: skip
    about, kind = await persons.find_access_token(platform, token), "Bearer"
    if about is None:
        about, kind = await persons.find_refresh_token(platform, token), "refresh_token"
    if about is None:
        return None
    public_id = public_client_id(asks.tenant_id, about.client_id)
    if await platform.clients.find(public_id) is None:
        return None
    return {
        "active": True, "iss": issuer, "client_id": public_id, "sub": about.user_id, "token_type": kind,
        "scope": " ".join(about.scopes), "iat": int(about.issued_at.timestamp()),
        "exp": int(about.expires_at.timestamp()),
    }  # fmt: skip


@router.post(
    REVOKE,
    response_class=Response,
    responses={200: {"description": "It is good no more, or never was"}, **_OF_CLIENT},
    openapi_extra=_described(
        {"token": "A refresh token ends all that came of its code.", "token_type_hint": "Not heard.", **_CLIENT},
        _TOKEN,
    ),
)
async def revoke_token(request: Request) -> Response:
    """End a token of the client's (RFC 7009). The answer is the same for what is none of its tokens."""
    platform = platform_of(request)
    form = await read_form(request)
    client = await authenticate(request, platform, form)
    token = required(form, "token")
    if any(named(token) for named in (tenant_of_client_token, user_of_access_token, user_of_client_refresh_token)):
        command = RevokeToken(client_id=client.client_id, sealed_token=platform.sealer.seal(token, TOKEN_PURPOSE))
        await ask(platform, client, command, client.client_id)
    return unstored(Response(status_code=200))


@router.api_route(
    USERINFO,
    methods=["GET"],
    response_class=Response,
    responses={
        200: _success(
            "What the token's scopes tell of its person",
            {
                "sub": "user_01jd7z4c8nf3ktv9q2m6x0r5we",
                "name": "Ada Lovelace",
                "locale": "en-GB",
                "zoneinfo": "Europe/London",
                "updated_at": 1801386000,
                "email": "ada@example.com",
                "email_verified": True,
            },
        ),
        401: _error("invalid_token", "The access token is not good."),
        403: _error("insufficient_scope", "This takes the scope openid."),
    },
)
async def get_userinfo(request: Request) -> Response:
    """Who has signed in to the client (OpenID Connect Core, section 5.3). Send the access token as `Bearer`."""
    return await _userinfo(request)


@router.post(USERINFO, response_class=Response, include_in_schema=False)
async def post_userinfo(request: Request) -> Response:
    """The same, as OpenID Connect wants it for both methods."""
    return await _userinfo(request)


async def _userinfo(request: Request) -> Response:
    platform, context = platform_of(request), context_of(request.scope)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    found = await persons.find_access_token(platform, token.strip()) if scheme.lower() == "bearer" else None
    if found is None:
        await platform.rates.count_wrong_key(context.client_address)
        challenge = 'Bearer realm="prognetwork"' + (', error="invalid_token"' if token else "")
        raise OAuthError("invalid_token", "The access token is not good.", challenge=challenge)
    context.actor, context.actor_kind = found.client_id, "client"
    await platform.rates.spend(request.method, USERINFO, context, found.client_id)
    if "openid" not in found.scopes:
        challenge = 'Bearer realm="prognetwork", error="insufficient_scope", scope="openid"'
        raise OAuthError("insufficient_scope", "This takes the scope openid.", challenge=challenge)
    return json_of(await persons.claims_for(platform, found))


async def _issued(platform: Platform, client: ClientRow, command: Command, actor: str) -> IssuedTokens:
    """What the domain issues. Raises OAuthError where it refuses."""
    try:
        result = await ask(platform, client, command, actor)
    except ProgError as error:
        raise of_domain(error) from error
    return IssuedTokens.model_validate(result)


async def _require_open(platform: Platform, client: ClientRow) -> None:
    """A client of a tenant that is suspended, or being deleted, gets no tokens."""
    try:
        await platform.require_open(client.tenant_id, "client.manage")
    except ProgError as error:
        raise OAuthError("unauthorized_client", error.message) from error
