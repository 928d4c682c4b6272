"""A route that has changed since the oldest version. Around what it does newest, for clients that pinned another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, cast

import orjson
from fastapi.routing import APIRoute
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prog_contracts.credentials import API_KEY_PREFIXES, tenant_of_client_token
from prog_contracts.ids import is_id
from prog_edge.context import context_of
from prog_edge.versions.changes import Change, Operation
from prog_edge.versions.table import NEWEST, VERSIONS, Version, changed_operations, changes_since, version_at

_JSON: Final = b"application/json"
_PROBLEM: Final = b"application/problem+json"
_CAME_BY: Final = "prog.pinned"


def pin(routes: Iterable[BaseRoute]) -> None:
    """Lets the routes that have changed be asked for in older versions."""
    changed = changed_operations()
    for route in routes:
        if isinstance(route, APIRoute) and not isinstance(route.app, Pinned):
            operations = {(method, route.path_format) for method in route.methods or ()} & changed
            if operations:
                route.app = Pinned(route.app, operations.pop())


class Pinned:
    """Costs a look at the request's context, and for older versions a second coding of the bodies.

    A request is read in the version that is known before anybody has looked at the credential; the answer is told in
    the one that the route has found to hold, which its header names.
    """

    def __init__(self, app: ASGIApp, operation: Operation) -> None:
        self.app = app
        self._changes = {version: changes_since(version, operation) for version in VERSIONS}
        self._changes_requests = any(change.place == "request" for change in self._changes[VERSIONS[0]])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.serve(scope, receive, send, self.app)

    async def serve(self, scope: Scope, receive: Receive, send: Send, app: ASGIApp) -> None:
        """Answers with `app`, which does what the route does newest. One that has come by before is left to `app`."""
        if _CAME_BY in scope:
            await app(scope, receive, send)
            return
        scope[_CAME_BY] = True
        context = context_of(scope)
        version = await _version(scope, of_tenant=self._changes_requests)
        changes = self._changes[version]
        if changes:
            body, scope = await _upgraded(changes, scope, receive)
            receive = Once(body, receive)
        answer = _Downgrading(lambda: self._changes[context.version or NEWEST], send)
        try:
            await app(scope, receive, answer.send)
        except Exception as error:
            if answer.has_begun or not self._changes[context.version or NEWEST]:
                raise
            await _told(error, scope, receive, answer.send)


async def _told(error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
    """Answers what the route has raised, as the application would farther out, where nobody knows of older versions.

    Raises it again when there is no handler for it.
    """

    async def raise_again(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    await ExceptionMiddleware(raise_again, scope["app"].exception_handlers)(scope, receive, send)


async def _version(scope: Scope, *, of_tenant: bool) -> Version:
    """What the client pinned; else, where it is asked for, what the tenant has set that the address names, or that the
    credential is of; else what an API key was made for. Whether the credential is good is the route's to say."""
    context = context_of(scope)
    if context.pins_version:
        return context.version or NEWEST
    platform = scope["app"].state.platform
    token = next((value for name, value in scope["headers"] if name == b"authorization"), b"").partition(b" ")[2]
    text = token.strip().decode("latin-1")
    tenant_id = tenant_of_client_token(text) or scope["path_params"].get("tenant_id")
    if text.startswith(API_KEY_PREFIXES):
        found = await platform.keyring.find(text)
        if found is not None:
            context.version = version_at(found[1].first_made_at or found[1].created_at)
            tenant_id = found[1].tenant_id
    if of_tenant and tenant_id is not None and is_id(tenant_id):
        standing = await platform.standings.get(tenant_id)
        if standing is not None and standing.version is not None:
            return cast("Version", standing.version)
    return context.version or NEWEST


async def _upgraded(changes: Sequence[Change], scope: Scope, receive: Receive) -> tuple[bytes, Scope]:
    """The request's body as the newest version has it, and a scope that tells its length."""
    parts = []
    while (message := await receive())["type"] == "http.request":
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    raw = b"".join(parts)
    try:
        body = orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        return raw, scope  # the route says what is wrong with it
    if not isinstance(body, dict):
        return raw, scope
    for change in changes:
        change.upgrade(body)
    raw = orjson.dumps(body)
    lengths = (b"content-length", b"transfer-encoding")
    headers = [header for header in scope["headers"] if header[0] not in lengths]
    scope["headers"] = [*headers, (b"content-length", b"%d" % len(raw))]
    return raw, scope


class Once:
    """Hands out a body that was read already, and then whatever comes of the connection."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self._body: bytes | None = body
        self._receive = receive

    async def __call__(self) -> Message:
        if self._body is None:
            return await self._receive()
        body, self._body = self._body, None
        return {"type": "http.request", "body": body, "more_body": False}


class _Downgrading:
    """Holds the answer back until its body is complete, where it is JSON and there is something to change in it."""

    def __init__(self, changes: Callable[[], Sequence[Change]], send: Send) -> None:
        self._asked = changes
        self._changes: Sequence[Change] = ()
        self._send = send
        self._start: Message | None = None
        self._media_type = b""
        self._parts: list[bytes] = []
        self.has_begun = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.has_begun = True
            media_type = dict(message.get("headers", ())).get(b"content-type", b"").partition(b";")[0]
            self._changes = self._asked()
            if self._changes and media_type in (_JSON, _PROBLEM):
                self._start, self._media_type = message, media_type
                return
        elif self._start is not None:
            self._parts.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            await self._finish(self._start)
            return
        await self._send(message)

    async def _finish(self, start: Message) -> None:
        raw = b"".join(self._parts)
        if raw:
            body = orjson.loads(raw)
            for change in reversed(self._changes):
                if self._media_type == _JSON:
                    change.downgrade(body)
                else:
                    _tell_older_fields(change, body)
            raw = orjson.dumps(body)
        headers = [header for header in start.get("headers", ()) if header[0] != b"content-length"]
        await self._send({**start, "headers": [*headers, (b"content-length", b"%d" % len(raw))]})
        await self._send({"type": "http.response.body", "body": raw, "more_body": False})


def _tell_older_fields(change: Change, problem: Any) -> None:
    """In the errors, and in the detail, which may begin with the first field's name."""
    for error in problem.get("errors", ()):
        newer, older = error["field"], change.older_field(error["field"])
        error["field"] = older
        if str(problem.get("detail")).startswith(f"{newer}: "):
            problem["detail"] = older + problem["detail"].removeprefix(newer)
