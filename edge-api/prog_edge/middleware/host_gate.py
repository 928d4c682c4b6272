"""What a request's host decides: the platform's own go on, at a tenant's its account pages answer, all else is refused.

The host is the `Host` header, and nothing else: X-Forwarded-Host and Forwarded are not read, whoever sends them, so a
proxy has to pass on the host that its client has named. Probes answer under every name.
"""

from __future__ import annotations

import re
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import Scope

from prog_contracts.errors import Unavailable
from prog_contracts.hosts import PlatformHosts
from prog_edge.context import RequestContext, Site
from prog_edge.hosts import TenantHosts
from prog_edge.problems import problem
from prog_kit.logging import get

PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics", "/internal/tls/allowed"})
PAGES: Final = ("/account/", "/static/", "/avatars/")
"""What is served at a tenant's host, beside `/account`, `/theme`, the tenant's own logo and colours, and the way
through other identity providers."""
_NAME: Final = re.compile(rb"([A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,64}\])(?::[0-9]{1,5})?")
_SIGN_ON: Final = re.compile(r"/v1/auth/oauth/[^/]{1,100}/(?:start|callback)")
"""To another identity provider, and back."""
_log = get("prog_edge.hosts")
_ROBOTS: Final = "User-agent: *\nDisallow: /\n"


class HostGate:
    def __init__(self, platform: PlatformHosts) -> None:
        self._platform = platform
        self._warned = False

    def is_own(self, hosts: list[bytes]) -> bool:
        """Whether the platform itself answers, as it does where no host is named (HTTP/1.0)."""
        if hosts in ([], [b""]):
            return True
        name = name_of(hosts[0]) if len(hosts) == 1 else None
        return name is not None and self._platform.is_own(name)

    async def answer(
        self, scope: Scope, context: RequestContext, hosts: list[bytes], public_url: str
    ) -> Response | None:
        """The answer to a request whose host is not the platform's; None for one of a tenant's that goes on, with the
        tenant's `Site` in its context."""
        path: str = scope["path"]
        name = name_of(hosts[0]) if len(hosts) == 1 else None
        if name is None:
            return problem(context, 400, "invalid_host", "Send one Host header, with a name and at most a port.")
        if path in PROBES:
            return None
        hosted: TenantHosts = scope["app"].state.platform.hosts
        try:
            served = await hosted.served(name)
        except Unavailable as error:
            return problem(context, 503, error.code, error.message)
        if served is None:
            self._warn(name)
            detail = "Nothing is served under this name. If it is yours, prove it first, on your tenant's page."
            return _refusal(scope, context, 421, "unknown_host", "Nothing is served under this name", detail)
        context.site = Site(served.tenant_id, name, served.is_active)
        if path == "/robots.txt":
            return PlainTextResponse(_ROBOTS)
        if path == "/" and scope["method"] in ("GET", "HEAD"):
            return RedirectResponse("/account", status_code=303)
        if path in ("/account", "/theme") or path.startswith((*PAGES, f"/brand/{served.tenant_id}/")):
            return None
        if _SIGN_ON.fullmatch(path):
            return None
        detail = f"Only account pages are here. The API and all else are at {public_url}"
        return _refusal(scope, context, 404, "not_at_this_host", "Only account pages are here", detail)

    def _warn(self, name: str) -> None:
        """Once a process: whoever runs the platform under a further name has to learn why it does not answer."""
        if not self._warned:
            self._warned = True
            _log.warning(
                "a name was asked for that is neither the platform's nor a tenant's; if the platform is to answer"
                " there, list it in PROG_PLATFORM_HOSTS",
                host=name,
            )


def name_of(host: bytes) -> str | None:
    """The name in a Host header, in its one spelling; None for what is none."""
    found = _NAME.fullmatch(host)
    return None if found is None else found[1].decode().lower().removesuffix(".")


def _refusal(scope: Scope, context: RequestContext, status: int, code: str, title: str, detail: str) -> Response:
    """A problem document, or a page of plain HTML: the platform's own is made of what is not served here."""
    context.code = code
    if "text/html" not in Request(scope).headers.get("accept", ""):
        return problem(context, status, code, detail)
    page = f'<!doctype html><html lang="en"><title>{title}</title><h1>{title}</h1><p>{detail}</p></html>'
    return HTMLResponse(page, status)
