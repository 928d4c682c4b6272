"""The console's palette: what an id, an address, an invoice number or a name may mean."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote
from uuid import UUID

from prog_contracts.ids import is_id
from prog_edge.web.ports import SearchHit
from prog_kit.database import Connection
from prog_workers.payments import queries as payments
from prog_workers.tenants import queries as tenants
from prog_workers.users import queries as users

MAX_HITS: Final = 8
_EACH: Final = 3


async def search(connection: Connection, text: str) -> list[SearchHit]:
    """Up to eight hits, the likeliest kinds first."""
    if not text:
        return []
    hits = []
    if is_id(text) or _is_message_id(text):
        hits.append(SearchHit("story", text, "What led to it, and what came from it", _story(text)))
    people = await users.list_users(connection, search=text, limit=_EACH)
    hits += [SearchHit("user", row.name, row.email, f"/admin/users/{row.user_id}") for row in people.rows]
    found = await tenants.list_tenants(connection, search=text, limit=_EACH)
    hits += [SearchHit("tenant", row.name, row.slug, f"/admin/tenants/{row.tenant_id}") for row in found.rows]
    bills = await payments.invoices(connection, search=text, limit=_EACH)
    hits += [SearchHit("invoice", row.number, f"{row.company}, {row.status}", _story(row.id)) for row in bills.rows]
    return hits[:MAX_HITS]


def _story(any_id: str) -> str:
    return f"/admin/story/{quote(any_id)}"


def _is_message_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
