"""Writes: a request becomes a command, and the command's answer becomes the response.

Idempotency-Key and Prefer are honoured here, once for every route. A command that outlives the wait is stored, and
answered with 202 and the address of its operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import orjson
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from prog_broker.replies import Answer
from prog_contracts.errors import ErrorBody, Unavailable, from_body
from prog_contracts.ids import PLATFORM_TENANT_ID, encode_id, new_message_id
from prog_contracts.messages import Command
from prog_edge import idempotency
from prog_edge.access import Access, Visit
from prog_edge.idempotency import Claimed, KeyScope, read_key
from prog_edge.limits.admission import Place
from prog_edge.preferences import Preferences, read_preferences
from prog_edge.problems import problem_of

JSON: Final = "application/json"

MOVES_MONEY: Final = frozenset(
    {
        ("POST", "/v1/payment-methods"),
        ("POST", "/v1/subscriptions"),
        ("POST", "/v1/invoices/{invoice_id}/pay"),
    }
)
"""Routes that refuse a request without an Idempotency-Key."""

UNDEFERRABLE: Final = frozenset(
    {
        ("POST", "/v1/auth/login"),
        ("POST", "/v1/auth/mfa"),
        ("POST", "/v1/auth/step-up"),
        ("POST", "/v1/auth/passkey/finish"),
        ("POST", "/v1/auth/refresh"),
        ("POST", "/v1/auth/magic-link/consume"),
        ("POST", "/v1/me/mfa/totp"),
        ("POST", "/v1/me/mfa/totp/confirm"),
        ("POST", "/v1/me/mfa/recovery-codes"),
        ("POST", "/v1/me/mfa/passkeys"),
        ("POST", "/v1/me/password"),
        ("POST", "/v1/me/export"),
        ("POST", "/v1/tenants/{tenant_id}/exports/{export_id}/file"),
        ("POST", "/v1/users/{user_id}/impersonate"),
        ("POST", "/v1/api-keys"),
        ("POST", "/v1/api-keys/{key_id}/roll"),
        ("POST", "/v1/oauth-clients"),
        ("POST", "/v1/oauth-clients/{client_id}/roll-secret"),
    }
)
"""Routes whose answer holds credentials, which no operation shows, or tells whether what was presented is right, which
is counted by the answer; or that is a file. They are answered in time, or not at all, however little a client wants to
wait."""

FILES: Final = frozenset(
    {("POST", "/v1/me/export"), ("POST", "/v1/tenants/{tenant_id}/exports/{export_id}/file")},
)
"""Routes whose answer is a file that nothing keeps: each is asked for, mailed and recorded for itself, so no retry gets
another one for the first one's key."""

SHOWN_ONCE: Final = UNDEFERRABLE - FILES - {("POST", "/v1/me/password")}
"""Routes whose answer holds a secret: told again to a retry, and to nobody who comes much later with its key."""

UNAWAITED: Final = frozenset(
    {("POST", "/v1/auth/email/resend"), ("POST", "/v1/auth/password/forgot"), ("POST", "/v1/auth/magic-link")}
)
"""Routes that are answered as soon as the command is stored, whatever `Prefer` says: what comes of it differs between
people who have an account and others, and neither the answer nor its time may tell which."""

Present = Callable[[Mapping[str, Any]], BaseModel | None]
"""Makes the answer's body of a command's result; None is an answer without one (204)."""


@dataclass(frozen=True, slots=True)
class Write:
    """One command and how its success is told.

    `tenant_id` is the tenant whose data it is about. `location` makes the address of what came into being.
    """

    command: Command
    tenant_id: str
    present: Present
    status: int = 200
    location: Callable[[BaseModel], str] | None = None
    unawaited: bool = False
    """Set by `perform` for the routes of `UNAWAITED`."""


async def perform(request: Request, by: Access | Visit, write: Write) -> Response:
    """Sends the command and answers: 200, 201 or 204, 202 when it goes on, a problem when it was refused.

    Raises TooMuch when the gate does not take it: then no key was claimed, and nothing sent or stored.
    """
    identity = (request.method, request.scope["route"].path)
    preferences = read_preferences(request.headers.get("prefer"))
    if identity in UNDEFERRABLE:
        preferences = preferences.undeferred()
    if identity in UNAWAITED:
        preferences, write = Preferences(respond_async=True), replace(write, unawaited=True)
    key = read_key(request.headers, required=identity in MOVES_MONEY) if request.method == "POST" else None
    commands, keys = by.platform.commands, by.platform.idempotency
    if key is None:
        with commands.admit(write.command, write.tenant_id, by.actor) as place:
            return await _ask(by, write, preferences, place, claimed=None)
    scope = KeyScope(_tenant(by), _keeper(by), f"{request.method} {request.url.path}", key)
    # What was asked before is no new write: it gets its answer, however much there is to do.
    known = commands.admission.refuses(write.command, write.tenant_id, by.actor) and await keys.holds(scope)
    with commands.admit(write.command, write.tenant_id, by.actor, anyway=known) as place:
        claimed = await keys.claim(scope, await request.body())
        if isinstance(claimed, Response):
            return claimed
        response = await _ask(by, write, preferences, place, claimed=claimed)
        if response.status_code < 500:
            await keys.keep(scope, response, told_for_seconds=_told_for_seconds(identity))
        return response


def _told_for_seconds(route: tuple[str, str]) -> float | None:
    """How long a retry is told the answer of a route; None for as long as its key lives."""
    if route in FILES:
        return 0.0
    return idempotency.SHOWN_ONCE_SECONDS if route in SHOWN_ONCE else None


def operation_id(answer: Answer) -> str:
    return encode_id("operation", answer.message_id)


async def _ask(
    by: Access | Visit, write: Write, preferences: Preferences, place: Place, *, claimed: Claimed | None
) -> Response:
    answer = await by.platform.commands.request(
        write.command,
        tenant_id=write.tenant_id,
        actor=by.actor,
        message_id=claimed.message_id if claimed else new_message_id(),
        traceparent=by.context.traceparent,
        wait_seconds=0.0 if preferences.respond_async else preferences.wait_seconds,
        place=place,
    )
    response = await _respond(by, write, answer, deferrable=preferences.deferrable)
    if preferences.applied is not None:
        response.headers["Preference-Applied"] = preferences.applied
    return response


async def _respond(by: Access | Visit, write: Write, answer: Answer, *, deferrable: bool) -> Response:
    if write.unawaited:
        return _succeeded(write, write.present({}))
    if answer.status == "succeeded":
        return _succeeded(write, write.present(answer.result or {}))
    if answer.status == "pending":
        if not deferrable:
            raise Unavailable("This takes longer than it may. Try again.")
        return await _accepted(by, write, answer)
    error = answer.error or ErrorBody(kind="unavailable", code="unavailable", message="The request was not completed.")
    return problem_of(by.context, from_body(error))


def _succeeded(write: Write, body: BaseModel | None) -> Response:
    if body is None:
        return Response(status_code=204)
    response = Response(body.model_dump_json().encode(), write.status, media_type=JSON)
    if write.location is not None:
        response.headers["Location"] = write.location(body)
    return response


async def _accepted(by: Access | Visit, write: Write, answer: Answer) -> Response:
    identity = operation_id(answer)
    await by.platform.operations.remember(answer.message_id, write.tenant_id, by.actor)
    body = {"id": identity, "status": "pending", "result": None, "error": None}
    headers = {"Location": f"/v1/operations/{identity}"}
    return Response(orjson.dumps(body), 202, headers, media_type=JSON)


def _tenant(by: Access | Visit) -> str:
    """Where a key belongs: the tenant that the caller acts in, which a retry has in common with the first request."""
    return (by.tenant_id if isinstance(by, Access) else None) or PLATFORM_TENANT_ID


def _keeper(by: Access | Visit) -> str:
    """Whose key it is. People who are not signed in are told apart by their address."""
    return by.actor or f"anonymous:{by.context.client_address}"
