"""What the product asks of its tables: lists, look-ups and searches of the edge, and what workers do for one message.

Each case is a call of the product's own function, so that what is asked is never written twice. `most` is how many rows
its statements may touch all together; a page is 50 rows, and what is counted or read whole says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from prog_edge.api.scim.answers import search_in
from prog_edge.backend import lists
from prog_edge.web.ports import ListQuery
from prog_kit.pages import encode_cursor
from prog_workers.email import queries as email
from prog_workers.events import queries as events
from prog_workers.payments import queries as payments
from prog_workers.tenants import queries as tenants
from prog_workers.tenants.queries import directory
from prog_workers.tenants.queries.directory_filters import search_of
from prog_workers.users import queries as users
from prog_workers.users.queries import api_keys, impersonations, logouts
from tests.component.plans.seed import LARGE, SMALL, named

PAGE: Final = 600
"""Rows that a page, a look-up or a change may touch."""

NOW: Final = datetime.now(UTC)
LONG_AGO: Final = NOW - timedelta(days=300)
ADA: Final = named("user", 777)
NOBODY: Final = named("user", 9_999_999)
ENTRY: Final = named("diruser", 777)
GROUP: Final = named("dirgroup", 7)
EMAIL: Final = "person777@company177.example"
NEVER: Final = "prognetwork.tenants.tenant_deleted"
SHOP: Final = "com.acme.order.placed"


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the edge for a tenant, for a person, or as an operator."""

    tenant_id: str | None = None
    user_id: str | None = None
    operator: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    reader: Reader
    ask: Callable[[Any], Awaitable[object]]
    most: int = PAGE


OPERATOR: Final = Reader(operator=True)
PERSON: Final = Reader(user_id=ADA)
TENANTS: Final[Mapping[str, str]] = {"large": named("tenant", LARGE), "small": named("tenant", SMALL)}


def _scim(filter_text: str, kind: directory.Kind = "User") -> Any:
    return search_of(kind, search_in(kind, {"filter": filter_text}), limit=50)


def _of_tenant(tenant: str) -> Mapping[str, Callable[[Any], Awaitable[object]]]:
    """What a tenant's people and programs ask."""
    late = encode_cursor(LONG_AGO, "user_")
    return {
        "members": lambda c: tenants.members_page(c, tenant, limit=50),
        "members later": lambda c: tenants.members_page(c, tenant, limit=50, cursor=late),
        "owners": lambda c: tenants.count_owners(c, tenant),
        "seats": lambda c: tenants.seats_taken(c, tenant, NOW),
        "configuration": lambda c: tenants.config_history(c, tenant),
        "keys": lambda c: api_keys.api_keys(c, tenant),
        "entry by name": lambda c: directory.entries(c, "User", tenant, _scim(f'userName eq "{EMAIL}"')),
        "entry by external id": lambda c: directory.entries(c, "User", tenant, _scim('externalId eq "ext-777"')),
        "entry by address": lambda c: directory.entries(c, "User", tenant, _scim(f'emails.value eq "{EMAIL}"')),
        "entry by address at work": lambda c: directory.entries(
            c, "User", tenant, _scim(f'emails[type eq "work" and value eq "{EMAIL}"]')
        ),
        "entries that may be meant": lambda c: directory.entries(
            c, "User", tenant, _scim(f'userName eq "{EMAIL}" or externalId eq "ext-1" or emails.value eq "{EMAIL}"')
        ),
        "people of a group": lambda c: directory.entries(c, "User", tenant, _scim(f'groups.value eq "{GROUP}"')),
        "groups of an entry": lambda c: directory.entries(
            c, "Group", tenant, _scim(f'members.value eq "{ENTRY}"', "Group")
        ),
        "events": events.events,
        "events of a type": lambda c: events.events(c, types=[SHOP]),
        "events of a rare type": lambda c: events.events(c, types=[NEVER]),
        "events of a domain": lambda c: events.events(c, domain="tenants"),
        "events of an object": lambda c: events.events(c, subject=ADA),
        "events of an object and type": lambda c: events.events(c, subject=ADA, types=[NEVER]),
        "events of a source": lambda c: events.events(c, source="/shop"),
        "events of a source that is not there": lambda c: events.events(c, source="/nowhere"),
        "events of the platform's own": lambda c: events.events(c, source="/prognetwork/payments"),
        "events of a stream": lambda c: events.events(c, stream="order-7"),
        "events without bills": lambda c: events.events(c, billing=False),
        "event by its own id": lambda c: events.event_from(c, "777", "/shop"),
        "events as they come": lambda c: events.tail_since(c, 0, 0),
        "story": lambda c: events.story(c, ADA),
        "operation": lambda c: events.operation(c, UUID(int=7)),
        "commands": lambda c: events.messages(c, tenant_id=tenant),
        "audit": lambda c: events.audit_entries(c, tenant_id=tenant),
        "audit of an action": lambda c: events.audit_entries(c, tenant_id=tenant, action="tenants.member_joined"),
        "audit of refusals": lambda c: events.audit_entries(c, tenant_id=tenant, outcome="denial"),
        "audit of somebody": lambda c: events.audit_entries(c, tenant_id=tenant, actor=ADA),
        "audit of nobody there": lambda c: events.audit_entries(c, tenant_id=tenant, actor=NOBODY),
        "audit of a key": lambda c: events.audit_entries(c, tenant_id=tenant, actor=named("apikey", 7)),
        "audit about somebody": lambda c: events.audit_entries(c, tenant_id=tenant, concerning=ADA),
        "audit of an object": lambda c: events.audit_entries(c, tenant_id=tenant, subject=ADA),
        "audit of long ago": lambda c: events.audit_entries(c, tenant_id=tenant, until=LONG_AGO),
        "mails": email.mails,
        "mails to somebody": lambda c: email.mails(c, recipient=EMAIL),
        "invoices": payments.invoices,
        "subscriptions": payments.subscriptions,
        "payments": payments.payments,
        "payments of an invoice": lambda c: payments.payments(c, invoice_id=named("invoice", 777)),
    }


_OPERATOR: Final[Mapping[str, Callable[[Any], Awaitable[object]]]] = {
    "people": lambda c: lists.users(c, ListQuery()),
    "person by the beginning of an address": lambda c: users.list_users(c, email_prefix="person777@"),
    "staff": lambda c: users.list_users(c, role="operator"),
    "unverified people": lambda c: users.list_users(c, verified=False),
    "tenants": tenants.list_tenants,
    "tenants that somebody owns alone": lambda c: tenants.owned_alone(c, ADA),
    "invitations that name somebody": lambda c: tenants.invitations_naming(c, ADA, EMAIL),
    "keys that somebody made": lambda c: api_keys.api_keys_made_by(c, ADA),
    "impersonations": lambda c: impersonations.list_impersonations(c, NOW),
    "impersonations of somebody": lambda c: impersonations.list_impersonations(c, NOW, concerning=ADA),
    "impersonations that go on": lambda c: impersonations.list_impersonations(c, NOW, active=True),
    "events": events.events,
    "events of a type": lambda c: events.events(c, types=[SHOP]),
    "events of a rare type": lambda c: events.events(c, types=[NEVER]),
    "events of a tenant and type": lambda c: events.events(c, tenant_id=TENANTS["small"], types=[SHOP]),
    "commands": events.messages,
    "commands that failed": lambda c: events.messages(c, status="failed"),
    "commands to come": lambda c: events.messages(c, status="retrying"),
    "dead letters": events.dead_letters,
    "dead letters of a group": lambda c: events.dead_letters(c, group="email"),
    "audit": events.audit_entries,
    "audit of an action": lambda c: events.audit_entries(c, action="tenants.tenant_deleted"),
    "audit of refusals": lambda c: events.audit_entries(c, outcome="denial"),
    "sign-outs that apps did not hear of": logouts.unheard_sign_outs,
    "audit of somebody": lambda c: events.audit_entries(c, actor=ADA),
    "mails": email.mails,
    "mails to somebody": lambda c: email.mails(c, recipient=EMAIL),
    "mails that failed": lambda c: email.mails(c, status="failed"),
    "leads": email.leads,
    "leads of an address": lambda c: email.leads_of(c, EMAIL),
    "invoices": payments.invoices,
    "open invoices": lambda c: payments.invoices(c, status="open"),
    "failed payments": lambda c: payments.payments(c, status="failed"),
    "subscriptions": payments.subscriptions,
    "customers": payments.customers,
}

_PERSON: Final[Mapping[str, Callable[[Any], Awaitable[object]]]] = {
    "account": lambda c: users.user(c, ADA),
    "sessions": lambda c: users.sessions_of(c, ADA, NOW),
    "all sessions": lambda c: users.session_history(c, ADA),
    "second factor": lambda c: users.second_factor(c, ADA),
    "identities": lambda c: users.identities(c, ADA),
    "impersonations": lambda c: impersonations.own_impersonations(c, ADA),
    "tenants": lambda c: tenants.tenants_of(c, ADA),
    "activity": lambda c: events.activity(c, ADA),
}

LARGER: Final[Mapping[str, int]] = {
    "tenants": 700,
    "operator: tenants": 1300,
    "events as they come": 1000,
}
"""Cases that may touch more, for a reason: 300 tenants with the clock of each, and pages of 200."""

EDGE: Final[Mapping[str, Case]] = {
    **{
        f"{size} tenant: {name}": Case(Reader(tenant_id=tenant), ask, LARGER.get(name, PAGE))
        for size, tenant in TENANTS.items()
        for name, ask in _of_tenant(tenant).items()
    },
    **{
        f"operator: {name}": Case(OPERATOR, ask, LARGER.get(f"operator: {name}", PAGE))
        for name, ask in _OPERATOR.items()
    },
    **{f"person: {name}": Case(PERSON, ask) for name, ask in _PERSON.items()},
}
