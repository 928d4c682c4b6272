"""Tells the audit trail of requests that the edge itself turned away: nobody signed in, no right to it, too many.

A refusal that is a command's answer is not told here, for whoever refused it has told it.
"""

from __future__ import annotations

from typing import Final

from fastapi.routing import APIRoute
from starlette.types import Scope

from prog_contracts.ids import PLATFORM_TENANT_ID, is_id
from prog_edge.access import Needs, Staff
from prog_edge.api.contract import declaration_of
from prog_edge.audit.denials import Denial
from prog_edge.context import RequestContext
from prog_edge.problems import default_code

TURNED_AWAY: Final = frozenset({401, 403, 429})


def tell_denial(scope: Scope, context: RequestContext, status: int) -> None:
    """Called when the answer begins."""
    if not (status in TURNED_AWAY or context.denied) or context.answered_by_command:
        return
    platform = getattr(scope["app"].state, "platform", None)
    if platform is not None:
        platform.audit.deny(denial_of(scope, context, status), context)


def denial_of(scope: Scope, context: RequestContext, status: int) -> Denial:
    """What is told of it. A tenant hears of its members alone: what a stranger tries is the platform's to know, and
    whoever names tenants that are not there makes no trails for them."""
    route = scope.get("route")
    path = getattr(route, "path", None)
    declared = declaration_of(route) if isinstance(route, APIRoute) else None
    needed = declared.permission if isinstance(declared, Needs | Staff) else None
    named = context.tenant_id if context.tenant_id is not None and is_id(context.tenant_id) else None
    return Denial(
        tenant_id=named if named is not None and context.is_member else PLATFORM_TENANT_ID,
        action=f"{scope['method']} {path}"[:200] if path else "edge.unknown_address",
        code=context.code or default_code(status),
        permission=context.permission or (needed if status == 403 else None),
        actor_kind=context.actor_kind or "nobody",
        actor=context.actor,
        session_id=context.session_id,
        subject=None if context.is_member else named,
        client_address=context.client_address,
    )
