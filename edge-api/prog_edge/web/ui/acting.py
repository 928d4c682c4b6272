"""Which pages an operator may use in somebody else's name: these, and no other (infra/adr/0029-impersonation.md).

They show the person's account and tenants, and change what the person's role allows where that gives nobody access and
moves no money. The console and the site are not the person's: there an operator stays who they are.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request

from prog_edge.impersonation import not_while_impersonating
from prog_edge.web.ui.state import web_state

IN_SOMEBODY_S_NAME: Final = ("/account", "/oauth2", "/v1/auth/oauth")
"""Where these paths begin, whoever looks at a page is the person in whose name they act."""

ANSWERING: Final = frozenset(
    {
        ("GET", "/account"),
        ("GET", "/account/sign-in"),
        ("GET", "/account/profile"),
        ("GET", "/account/security"),
        ("GET", "/account/sessions"),
        ("GET", "/account/activity"),
        ("GET", "/account/data"),
        ("GET", "/account/apps"),
        ("GET", "/account/tenants/{tenant_id}"),
        ("GET", "/account/tenants/{tenant_id}/members/{user_id}"),
        ("GET", "/account/tenants/{tenant_id}/billing"),
        ("GET", "/account/tenants/{tenant_id}/invoices/{invoice_id}.pdf"),
        ("GET", "/account/tenants/{tenant_id}/usage"),
        ("GET", "/account/tenants/{tenant_id}/settings"),
        ("POST", "/account/tenants/{tenant_id}/settings"),
        ("GET", "/account/tenants/{tenant_id}/settings/versions/{version}"),
        ("POST", "/account/tenants/{tenant_id}/settings/versions/{version}/restore"),
        ("POST", "/account/impersonation/end"),
        ("POST", "/account/sign-out"),
    }
)


IN_BOTH_NAMES: Final = frozenset({"/theme", "/account/sign-out"})
"""Pages of the console and of the account have forms that post there."""


def is_in_their_name(request: Request) -> bool:
    """Whether a page is of the person in whose name somebody may be acting."""
    path = request.url.path
    return any(path == start or path.startswith(f"{start}/") for start in IN_SOMEBODY_S_NAME)


def require_answering(request: Request) -> None:
    """Raises Denied with code `not_while_impersonating` for a page that does not answer whoever acts in a name."""
    viewer = web_state(request).viewer
    if viewer is None or viewer.acting is None:
        return
    method = "GET" if request.method == "HEAD" else request.method
    if (method, request.scope["route"].path) not in ANSWERING:
        raise not_while_impersonating()
