"""SCIM 2.0 (RFC 7643, RFC 7644) at `/scim/v2`: an identity provider keeps a tenant's users and groups.

The tenant follows from the credential, an API key with the scope `scim.manage`. Reads come from the tenant's tables,
writes are commands; errors have SCIM's own form here, and here alone (`prog_edge.scim_errors`).

- `discovery`  what this server can do, and how users and groups look
- `entries`    users and groups: read, sought, made, changed, deleted
- `answers`    how they are written down
"""

from typing import Final

from fastapi import APIRouter

from prog_edge.api.scim import discovery, entries

ROUTERS: Final[list[APIRouter]] = [discovery.router, entries.router]
