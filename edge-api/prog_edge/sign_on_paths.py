"""Where a tenant's people sign on, for whoever has to be told so."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

SIGN_ON_REQUIRED: Final = "sign_on_required"
"""The code of a denial: the tenant's own identity provider has not vouched for the person of this session."""


def sign_on_path(tenant_id: str, next_address: str | None = None) -> str:
    """Where a browser begins to sign on with a tenant's provider, and goes on afterwards."""
    address = "" if next_address is None else f"?next={quote(next_address, safe='/')}"
    return f"/v1/auth/oauth/{tenant_id}/start{address}"
