"""The tokens of links that lead to another provider from a signed-in person's page.

They are links and no forms, for a form may lead to no other site (the pages' `form-action`). The token shows that the
page made the link, as a form's token does, so that no other site has somebody link or step up. It is good for that
alone.
"""

from __future__ import annotations

import hmac

from prog_edge.web.ports import Purpose, Viewer, WebServices
from prog_edge.web.ui.csrf import form_token


def departure_token(web: WebServices, purpose: Purpose, viewer: Viewer) -> str:
    return form_token(web.signing_key, f"depart:{purpose}:{viewer.session_id}")


def is_departure_token(web: WebServices, purpose: Purpose, viewer: Viewer, token: str) -> bool:
    return hmac.compare_digest(token.encode(errors="replace"), departure_token(web, purpose, viewer).encode())
