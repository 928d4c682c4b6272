"""What is known about a request before anybody looks at it. Middleware fills it; problems, logs and commands read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from prog_kit.telemetry import trace_id

if TYPE_CHECKING:
    from starlette.types import Scope

    from prog_edge.limits.rates import Quota

_KEY: Final = "prog.context"


@dataclass(slots=True)
class RequestContext:
    """One request's identity. `request_id` is the client's own where it sent a usable one."""

    request_id: str
    traceparent: str
    public_url: str
    client_address: str | None = None
    actor: str | None = None
    tenant_id: str | None = None
    code: str | None = None
    """The slug of the problem that was answered, for the log."""
    quota: Quota | None = None
    """What the client has left, for the headers that tell it."""
    session_cookie: str | None = None
    """A `Set-Cookie` value to send along: the caller's session was refreshed on the way."""

    @property
    def trace_id(self) -> str | None:
        return trace_id(self.traceparent)


def put_context(scope: Scope, context: RequestContext) -> None:
    cast("dict[str, Any]", scope)[_KEY] = context


def context_of(scope: Scope) -> RequestContext:
    """The context of the request; middleware has put it there."""
    return cast("RequestContext", scope[_KEY])
