"""What is known about a request before anybody looks at it. Middleware fills it; problems, logs and commands read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, cast

from prog_contracts.actors import impersonator_of, key_of, person_of
from prog_kit.logging import surround
from prog_kit.telemetry import trace_id

if TYPE_CHECKING:
    from starlette.types import Scope

    from prog_edge.limits.rates import Quota
    from prog_edge.versions.table import Version

_KEY: Final = "prog.context"


@dataclass(frozen=True, slots=True)
class Site:
    """A host of a tenant's own, at which its account pages are served (infra/adr/0032-custom-domains.md)."""

    tenant_id: str
    host: str
    is_active: bool
    """It leads here, as far as its DNS tells: what is begun there and goes on elsewhere may come back to it."""


@dataclass(slots=True)
class RequestContext:
    """One request's identity. `request_id` is the client's own where it sent a usable one."""

    request_id: str
    traceparent: str
    public_url: str
    client_address: str | None = None
    user_agent: str | None = None
    site: Site | None = None
    """Whose pages are looked at, where that follows from the host; None is the platform itself."""
    speaks_scim: bool = False
    """Errors are told in SCIM's form rather than as problem documents."""
    actor: str | None = None
    actor_kind: str | None = None
    """Of the audit trail: `person`, `operator` for the platform's staff, `impersonator` for an operator in somebody's
    name, `api_key`, `client`; None for nobody known."""
    session_id: str | None = None
    tenant_id: str | None = None
    is_member: bool = False
    """The actor belongs to that tenant."""
    permission: str | None = None
    """What the actor was found not to have, where a page asked for it."""
    denied: bool = False
    """It was turned away, though the answer's status does not say so."""
    answered_by_command: bool = False
    """A command that was sent for it was refused."""
    code: str | None = None
    """The slug of the problem that was answered, for the log."""
    quota: Quota | None = None
    """What the client has left, for the headers that tell it."""
    version: Version | None = None
    """The version of the API that the client pinned, that its tenant has set, or that its key was made for; None is the
    newest."""
    pins_version: bool = False
    """The client has named it."""
    session_cookie: str | None = None
    """A `Set-Cookie` value to send along: the caller's session was refreshed on the way."""

    def follow_version(self, version: Version | None) -> None:
        """Takes the version that the tenant has set, unless the client has named one."""
        if version is not None and not self.pins_version:
            self.version = version

    def identify(self, actor: str, session_id: str | None, office: str | None) -> None:
        """Who is asking. `office` is theirs on the platform's staff."""
        self.actor, self.session_id = actor, session_id
        self.actor_kind = _kind_of(actor, office)

    def attributed(self, actor: str | None) -> str | None:
        """Whom a command names that is sent for this request: both, where somebody acts in the name of `actor`."""
        if actor is None or impersonator_of(self.actor) is None or person_of(self.actor) != actor:
            return actor
        return self.actor

    def turn_away(self, code: str, tenant_id: str, *, is_member: bool, permission: str | None = None) -> None:
        """Notes for the audit trail that it was turned away from a tenant, whatever status the answer will have."""
        self.denied, self.code, self.permission = True, code, permission
        self.tenant_id, self.is_member = tenant_id, is_member

    @property
    def trace_id(self) -> str | None:
        return trace_id(self.traceparent)

    @property
    def log_fields(self) -> dict[str, str | None]:
        """What every line that is written during the request carries."""
        return {"request_id": self.request_id, "trace_id": self.trace_id}


@lru_cache(1024)
def _kind_of(actor: str, office: str | None) -> str:
    key = key_of(actor)
    if impersonator_of(actor) is not None:
        return "impersonator"
    if key is not None:
        return "client" if key.startswith("client_") else "api_key"
    return "person" if office is None else "operator"


CURRENT: Final[ContextVar[RequestContext | None]] = ContextVar("request", default=None)
"""Set around a request."""


def current_context() -> RequestContext | None:
    """The context of the request that is being served; None outside of one."""
    return CURRENT.get()


def current_site() -> Site | None:
    """The tenant's host at which the request is served; None at the platform's own."""
    context = CURRENT.get()
    return None if context is None else context.site


def at_host(purpose: str, site: Site | None = None) -> str:
    """What is sealed for one host alone: a purpose, at a tenant's host or that of the request that is being served."""
    site = site or current_site()
    return purpose if site is None else f"{purpose}@{site.tenant_id}/{site.host}"


@contextmanager
def serving(context: RequestContext) -> Iterator[None]:
    """Around a request that it is the context of; the gateway, which serves them all, does it by itself."""
    token = CURRENT.set(context)
    try:
        yield
    finally:
        CURRENT.reset(token)


def _log_fields() -> Mapping[str, str | None]:
    context = CURRENT.get()
    return {} if context is None else context.log_fields


surround(_log_fields)


def put_context(scope: Scope, context: RequestContext) -> None:
    cast("dict[str, Any]", scope)[_KEY] = context


def context_of(scope: Scope) -> RequestContext:
    """The context of the request; middleware has put it there."""
    return cast("RequestContext", scope[_KEY])
