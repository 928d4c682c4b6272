"""One structured line a request, when it is over. Probes and static files are told at debug level."""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

from prog_edge.context import RequestContext
from prog_kit.logging import Lines

LINES: Final = Lines("prog_edge.access")
"""Written some at a time; what waits is written when the process ends."""
_QUIET: Final = ("/healthz", "/readyz", "/metrics", "/static/")


class AccessLog:
    """infra/TRACING.md says what each field means."""

    def __init__(self, level: str) -> None:
        self._tells = level in ("debug", "info")
        self._tells_all = level == "debug"

    def write(
        self, scope: Scope, context: RequestContext, route: str, status: int, size_bytes: int, seconds: float
    ) -> None:
        path: str = scope["path"]
        if not self._tells or (path.startswith(_QUIET) and not self._tells_all):
            return
        LINES.write(
            "request",
            {
                "method": scope["method"],
                "route": route,
                "path": path,
                "status": status,
                "milliseconds": round(seconds * 1000, 2),
                "bytes": size_bytes,
                "client": context.client_address,
                "actor": context.actor,
                "tenant_id": context.tenant_id,
                "code": context.code,
                **context.log_fields,
            },
        )
