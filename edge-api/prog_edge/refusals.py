"""Exception handlers: whatever a route raises becomes a problem document, or a page where a browser asked for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

import asyncpg
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from prog_contracts.errors import Conflict, Denied, FieldError, Invalid, NotFound, ProgError, Unavailable
from prog_edge import texts
from prog_edge.context import context_of
from prog_edge.oauth.asking import OAuthError
from prog_edge.problems import Refused, default_code, problem, problem_of, status_of
from prog_kit import database
from prog_kit.logging import get

OUTAGES: Final = (OSError, *database.OUTAGES)
"""What PostgreSQL's driver raises while the server is away; answered with 503."""

_log = get("prog_edge.refusals")
_CODES: Final = {
    "missing": "required",
    "extra_forbidden": "unknown_field",
    "string_too_short": "too_short",
    "string_too_long": "too_long",
    "string_pattern_mismatch": "wrong_format",
}
_MESSAGES: Final = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "string_pattern_mismatch": "This does not have the right form.",
}
_UNREADABLE: Final = "There was an error parsing the body"
"""FastAPI's words for a body that is not even text, or has a number that Python does not read."""
_DETAILS: Final = {
    404: "There is nothing at this address.",
    405: "This address does not answer that method.",
}


ErrorPage: TypeAlias = Callable[[Request, ProgError, int], Awaitable[Response | None]]
"""The error as a page when a browser asked for one, else None."""


def add_handlers(app: FastAPI, page: ErrorPage) -> None:
    """Registers all of them with the application."""
    refusals = _Refusals(page)
    app.add_exception_handler(ProgError, refusals.on_error)  # type: ignore[arg-type]  # narrower than Exception
    app.add_exception_handler(Refused, refusals.on_refused)  # type: ignore[arg-type]
    app.add_exception_handler(OAuthError, refusals.on_oauth)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, refusals.on_invalid_request)  # type: ignore[arg-type]
    app.add_exception_handler(HTTPException, refusals.on_http_exception)  # type: ignore[arg-type]
    app.add_exception_handler(asyncpg.DataError, refusals.on_unstorable)
    for outage in OUTAGES:
        app.add_exception_handler(outage, refusals.on_outage)


class _Refusals:
    def __init__(self, page: ErrorPage) -> None:
        self._page = page

    async def on_error(self, request: Request, error: ProgError) -> Response:
        return await self._shown(request, error, status_of(error)) or problem_of(context_of(request.scope), error)

    async def on_oauth(self, request: Request, error: OAuthError) -> Response:
        return error.response(request)

    async def on_outage(self, request: Request, error: Exception) -> Response:
        """A server that is needed went away in the middle of a request."""
        _log.warning("a server does not answer", path=request.url.path, error=repr(error))
        return await self.on_error(request, Unavailable("Something that is needed does not answer. Try again."))

    async def on_unstorable(self, request: Request, error: Exception) -> Response:
        """A value that passed the models and that PostgreSQL cannot hold, such as a NUL or a number beyond 64 bits."""
        _log.info("unstorable value", path=request.url.path, error=repr(error))
        return await self.on_error(request, Invalid("The request holds a value that no stored one can match."))

    async def on_refused(self, request: Request, error: Refused) -> Response:
        page = await self._shown(request, _stand_in(error.status, error.detail), error.status)
        if page is not None:
            return page
        context = context_of(request.scope)
        return problem(context, error.status, error.code, error.detail, fields=error.fields, headers=error.headers)

    async def on_http_exception(self, request: Request, error: HTTPException) -> Response:
        detail = _DETAILS.get(error.status_code) or str(error.detail)
        code = default_code(error.status_code)
        if isinstance(error.__cause__, RecursionError):
            detail, code = texts.TOO_DEEP, "malformed_json"
        elif detail == _UNREADABLE:
            text = isinstance(error.__cause__, UnicodeError)
            reason = "it is not valid UTF-8" if text else "a number in it has too many digits"
            detail, code = f"The body is not JSON: {reason}.", "malformed_json"
        return await self.on_refused(request, Refused(error.status_code, code, detail, headers=error.headers))

    async def on_invalid_request(self, request: Request, error: RequestValidationError) -> Response:
        items = list(error.errors())
        malformed = next((item for item in items if item["type"] == "json_invalid"), None)
        if malformed is not None:
            reason = malformed.get("ctx", {}).get("error", "it cannot be read")
            detail = f"The body is not JSON: {reason} (at character {malformed['loc'][-1]})."
            return await self.on_refused(request, Refused(400, "malformed_json", detail))
        fields = _fields(items)
        return await self.on_refused(request, Refused(422, "invalid", _summary(fields), fields=fields))

    async def _shown(self, request: Request, error: ProgError, status: int) -> Response | None:
        """The error as a page. Where its frame cannot be made (the session cannot be renewed), there is none."""
        try:
            return await self._page(request, error, status)
        except (ProgError, *OUTAGES):
            return None


def _fields(items: Iterable[Mapping[str, Any]]) -> list[FieldError]:
    """One error a field; the input itself is never repeated, for it may be a secret."""
    found = []
    for item in items:
        kind = item["type"]
        message = _MESSAGES.get(kind) or str(item["msg"]).removeprefix("Value error, ")
        found.append(FieldError(field=_path(item["loc"]), code=_CODES.get(kind, kind), message=message))
    return found


def _path(location: tuple[str | int, ...]) -> str:
    """`items.0.name` of ("body", "items", 0, "name"); the whole body is `body`."""
    parts = location[1:] if len(location) > 1 else location
    return ".".join(str(part) for part in parts)


def _summary(fields: list[FieldError]) -> str:
    if not fields:
        return "The request is not valid."
    first = fields[0]
    more = f" ({len(fields) - 1} more)" if len(fields) > 1 else ""
    return f"{first.field}: {first.message}{more}"


def _stand_in(status: int, detail: str) -> ProgError:
    """The error of the tree that is nearest to a bare status, for pages."""
    kinds: dict[int, type[ProgError]] = {401: Denied, 403: Denied, 404: NotFound, 405: Invalid, 409: Conflict}
    return kinds.get(status, Invalid if status < 500 else Unavailable)(detail)
