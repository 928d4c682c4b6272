"""What every request passes and every answer carries, in one pass, for each layer of ASGI costs every request.

In: the host, which may be a tenant's own; a request id and a W3C trace context, taken from the client or made; the
client's address; the version of the API that it pins. Out: both ids, security headers, what pages of other sites may
read, the version, the client's quota, a renewed session cookie, and a hint to go elsewhere while the process drains.
An answer that has not begun in time is given up. When it is over: metrics, one line in the log, and what the audit
trail is to hear. Each concern has its file beside this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from prog_contracts.hosts import PlatformHosts
from prog_edge.context import CURRENT, RequestContext, put_context
from prog_edge.drain import Drain
from prog_edge.middleware.access_log import AccessLog
from prog_edge.middleware.client_address import ClientAddresses
from prog_edge.middleware.cors import Cors
from prog_edge.middleware.denials import tell_denial
from prog_edge.middleware.head_fields import Head, read_head
from prog_edge.middleware.host_gate import HostGate
from prog_edge.middleware.lane import Lane
from prog_edge.middleware.metrics import InFlight, count, route_of
from prog_edge.middleware.overdue import Overdue
from prog_edge.middleware.rate_headers import Form, rate_headers
from prog_edge.middleware.security_headers import Defaults, defaults, secured
from prog_edge.problems import Refused, problem
from prog_edge.scim_errors import PREFIX as SCIM_PREFIX
from prog_edge.versions.table import NEWEST, Version, version_headers, version_of
from prog_kit.logging import get
from prog_kit.telemetry import child_traceparent

_log = get("prog_edge.crash")
VERSIONED: Final = "/v1/"
ANSWER_SECONDS: Final = 65.0
"""Until an answer begins: a body may take 30 seconds to come, and a client may ask to wait 30 for what it wants done.
What has begun may go on, as streams do."""
_TOO_LONG: Final = "This took too long and was given up. What was asked for may be done yet."
_CLOSING: Final = (b"connection", b"close")


class GatewayMiddleware:
    """The outermost layer of the edge."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        public_url: str,
        trusted_proxies: Sequence[str] = (),
        rate_form: Form = "draft",
        drain: Drain | None = None,
        log_level: str = "info",
        cors: Cors | None = None,
        hosts: PlatformHosts | None = None,
        lane: Lane | None = None,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self.app = app
        self.public_url = public_url.rstrip("/")
        self.addresses = ClientAddresses(trusted_proxies)
        self.rate_form = rate_form
        self.drain = drain or Drain()
        self.access_log = AccessLog(log_level)
        self.cors = cors or Cors((), ())
        self.gate = None if hosts is None else HostGate(hosts)
        self.lane = lane or Lane()
        self.lane.other_way = app
        secure = public_url.startswith("https://")
        self.defaults: Defaults = defaults(secure_transport=secure)
        self.site_defaults: Defaults = defaults(secure_transport=secure, subdomains=False)
        self.overdue = Overdue(answer_seconds)
        self._version_headers: dict[str, tuple[tuple[bytes, bytes], ...]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        head = read_head(scope["headers"])
        client = scope.get("client")
        context = RequestContext(
            head.request_id,
            child_traceparent(head.traceparent),
            self.public_url,
            client_address=self.addresses.find(client[0] if client else None, head.forwarded),
            user_agent=head.user_agent,
        )
        context.speaks_scim = scope["path"].startswith(SCIM_PREFIX)
        put_context(scope, context)
        answer = _Answer(self, scope, context, send, head.origin)
        InFlight.now += 1
        token = CURRENT.set(context)
        try:
            await self._answered_in_time(scope, context, head, receive, answer)
        finally:
            CURRENT.reset(token)
            InFlight.now -= 1
            seconds = perf_counter() - began
            route = route_of(scope)
            count(scope["method"], route, answer.status or 500, seconds)
            self.access_log.write(scope, context, route, answer.status, answer.size_bytes, seconds)

    def version_headers(self, version: Version) -> tuple[tuple[bytes, bytes], ...]:
        """Those of an answer in this version; a name is found quicker than all that a version says."""
        told = self._version_headers.get(version.name)
        if told is None:
            told = self._version_headers[version.name] = version_headers(version, self.public_url)
        return told

    async def _refusal(self, scope: Scope, context: RequestContext, head: Head) -> Response | None:
        """The answer to a request that goes no further."""
        if self.gate is not None and not self.gate.is_own(head.hosts):
            refused = await self.gate.answer(scope, context, head.hosts, self.public_url)
            if refused is not None or context.site is not None:
                return refused
        return self.cors.preflight(scope, head.origin) or _unknown_version(scope, context, head.version)

    async def _answered_in_time(
        self, scope: Scope, context: RequestContext, head: Head, receive: Receive, answer: _Answer
    ) -> None:
        try:
            async with asyncio.timeout(None) as answer.limit:
                self.overdue.add(answer)
                refusal = await self._refusal(scope, context, head)
                if refusal is not None:
                    await refusal(scope, receive, answer.send)
                elif (route := self.lane.find(scope, head)) is None:
                    await self.app(scope, receive, answer.send)
                else:
                    await self._by_lane(route, scope, receive, answer)
        except TimeoutError:
            if answer.status or not answer.limit.expired():
                raise
            headers = {"Retry-After": "5"}
            response = problem(context, 504, "answer_timeout", _TOO_LONG, headers=headers)
            await response(scope, receive, answer.send)
        finally:
            self.overdue.discard(answer)

    async def _by_lane(self, route: ASGIApp, scope: Scope, receive: Receive, answer: _Answer) -> None:
        try:
            await route(scope, receive, answer.send)
        except Exception as error:
            if answer.status:
                _log.error("request failed", path=scope["path"], exc_info=error)
                raise
            await self.lane.fail(error, scope, receive, answer.send)


class _Answer:
    """The answer to one request on its way out."""

    __slots__ = ("_gateway", "_origin", "_scope", "_send", "began", "context", "limit", "size_bytes", "status")

    limit: asyncio.Timeout
    """Set by whoever finds that it has not begun in time."""

    def __init__(
        self, gateway: GatewayMiddleware, scope: Scope, context: RequestContext, send: Send, origin: str | None
    ) -> None:
        self._gateway = gateway
        self._scope = scope
        self.context = context
        self._send = send
        self._origin = origin
        self.began = 0.0
        self.status = 0
        self.size_bytes = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._gateway.overdue.discard(self)
            if self.limit.when() is not None and not self.limit.expired():
                self.limit.reschedule(None)
            tell_denial(self._scope, self.context, self.status)
            message["headers"] = self._headers(message)
        else:
            self.size_bytes += len(message.get("body", b""))
        await self._send(message)

    def _headers(self, message: Message) -> list[tuple[bytes, bytes]]:
        gateway, context = self._gateway, self.context
        headers = secured(
            message.get("headers", ()), gateway.defaults if context.site is None else gateway.site_defaults
        )
        path = self._scope["path"]
        if path.startswith(VERSIONED):
            headers += gateway.version_headers(context.version or NEWEST)
        headers += gateway.cors.headers(self._scope["method"], path, self._origin)
        if gateway.drain.started:
            headers.append(_CLOSING)
        if context.quota is not None and gateway.rate_form != "none":
            headers += rate_headers(context.quota, gateway.rate_form)
        if context.session_cookie is not None:
            headers.append((b"set-cookie", context.session_cookie.encode()))
        headers.append((b"x-request-id", context.request_id.encode()))
        headers.append((b"traceparent", context.traceparent.encode()))
        return headers


def _unknown_version(scope: Scope, context: RequestContext, name: str | None) -> Response | None:
    """Notes the version that the client pins; the refusal of one that there is not."""
    if name is None or not scope["path"].startswith(VERSIONED):
        return None
    try:
        context.version, context.pins_version = version_of(name), True
    except Refused as refused:
        return problem(context, refused.status, refused.code, refused.detail)
    return None
