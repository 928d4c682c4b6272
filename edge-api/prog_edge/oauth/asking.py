"""A client asks for tokens: its form is read, and who it is found out. What is wrong is told as OAuth tells it.

Errors are those of RFC 6749, section 5.2, in its form. What the platform itself refuses, for there is too much to do or
something does not answer, stays a problem document.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_plus

import orjson
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts.errors import ProgError, Unavailable, from_body
from prog_contracts.messages import Command
from prog_edge.context import context_of, current_context
from prog_edge.oauth.clients import shown_by
from prog_edge.platform import Platform
from prog_workers.users.queries.clients import ClientRow

MEDIA_TYPE: Final = "application/x-www-form-urlencoded"
FIELDS_MAX: Final = 40
VALUE_MAX_LENGTH: Final = 4000

_STATUS: Final = {"invalid_client": 401, "invalid_token": 401, "insufficient_scope": 403}
_OAUTH_CODES: Final = frozenset({"invalid_grant", "invalid_scope", "unauthorized_client", "invalid_client"})


class OAuthError(Exception):
    """What is wrong with a request, by its name in OAuth."""

    def __init__(self, error: str, description: str, *, challenge: str | None = None) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.challenge = challenge

    @property
    def status(self) -> int:
        return _STATUS.get(self.error, 400)

    def response(self, request: Request) -> Response:
        context_of(request.scope).code = self.error
        body = orjson.dumps({"error": self.error, "error_description": self.description})
        response = Response(body, self.status, media_type="application/json")
        if self.challenge is not None:
            response.headers["WWW-Authenticate"] = self.challenge
        return unstored(response)


def unstored(response: Response) -> Response:
    """Nobody on the way keeps it (RFC 6749, section 5.1)."""
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


def of_domain(error: ProgError) -> OAuthError:
    """What the domain refused, as OAuth calls it. Raises the error itself where OAuth has no word for it."""
    if error.code in _OAUTH_CODES:
        return OAuthError(error.code, error.message)
    raise error


async def read_form(request: Request) -> dict[str, str]:
    """The parameters of a request, each of which may be there once (RFC 6749, section 3.2)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != MEDIA_TYPE:
        raise OAuthError("invalid_request", f"Send the parameters as {MEDIA_TYPE}.")
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
    except ValueError:
        raise OAuthError("invalid_request", "The parameters cannot be read.") from None
    return once(pairs)


def once(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Parameters by name. Raises OAuthError where one is there twice, too long, or holds what nothing can store."""
    found: dict[str, str] = {}
    for name, value in pairs:
        if name in found:
            raise OAuthError("invalid_request", "A parameter is there more than once.")
        if len(value) > VALUE_MAX_LENGTH or not value.isprintable():
            raise OAuthError("invalid_request", "A parameter is too long, or holds what cannot be read.")
        found[name] = value
    return {name: value for name, value in found.items() if value}


async def authenticate(request: Request, platform: Platform, form: Mapping[str, str]) -> ClientRow:
    """The client that asks, with its secret where it has one, as it is by that secret. Spends one of its quota.

    One answer for a client that is unknown, was removed, or does not prove itself as it is registered to.
    """
    context = context_of(request.scope)
    basic = _basic(request)
    if basic is not None and "client_secret" in form:
        raise OAuthError("invalid_request", "Send the client's secret in one place.")
    public_id, secret = basic or (form.get("client_id", ""), form.get("client_secret"))
    if basic is not None and form.get("client_id", public_id) != public_id:
        raise OAuthError("invalid_request", "The client names itself twice, and otherwise.")
    client = await platform.clients.find(public_id)
    if client is None or client.confidential != (secret is not None):
        raise await _stranger(request, platform)
    if secret is not None:
        client = shown_by(client, secret)
        if client is None:
            raise await _stranger(request, platform)
    context.tenant_id = client.tenant_id
    context.actor, context.actor_kind = client.client_id, "client"
    standing = await platform.standings.get(client.tenant_id)
    await platform.rates.spend(
        request.method,
        request.scope["route"].path,
        context,
        client.client_id if client.confidential else None,
        None if standing is None else standing.plan,
    )
    return client


def require_grant(client: ClientRow, grant: str) -> None:
    if grant not in client.grants:
        raise OAuthError("unauthorized_client", "The client is not registered for this grant.")


def required(form: Mapping[str, str], name: str) -> str:
    if name not in form:
        raise OAuthError("invalid_request", f"The parameter {name} is missing.")
    return form[name]


async def _stranger(request: Request, platform: Platform) -> OAuthError:
    await platform.rates.count_wrong_key(context_of(request.scope).client_address)
    challenge = 'Basic realm="prognetwork", charset="UTF-8"'
    return OAuthError("invalid_client", "The client is unknown, or its secret is not good.", challenge=challenge)


def _basic(request: Request) -> tuple[str, str] | None:
    """Name and secret of `Authorization: Basic` (RFC 6749, section 2.3.1); None without one."""
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        raise OAuthError("invalid_request", "Clients prove themselves with Basic, or in the form.")
    try:
        name, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return (unquote_plus(name), unquote_plus(secret)) if colon else ("", "")


async def ask(platform: Platform, client: ClientRow, command: Command, actor: str) -> dict[str, Any]:
    """What a command came to that is sent under the client's tenant. Raises the domain's ProgError, and Unavailable."""
    context = current_context()
    answer = await platform.commands.request(
        command, tenant_id=client.tenant_id, actor=actor, traceparent=None if context is None else context.traceparent
    )
    if answer.error is not None:
        raise from_body(answer.error)
    if answer.status == "pending":
        raise Unavailable("This takes longer than it may. Try again.")
    return answer.result or {}


def json_of(body: Mapping[str, Any]) -> Response:
    return unstored(Response(orjson.dumps(body), media_type="application/json"))
