"""The console's page contexts. Lists share one shape: rows, the query that asked for them, and filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Generic, TypeVar
from urllib.parse import urlencode

from prog_contracts.ids import is_id
from prog_edge.web.admin.story import StoryTree
from prog_edge.web.ports import (
    AdminInvoiceRow,
    AdminOverview,
    AuditRow,
    ConsumerRow,
    DeadLetterCause,
    DeadLetterRow,
    EventRow,
    ImpersonationRow,
    ListQuery,
    MessageRow,
    Page,
    PersonFacts,
    ReplayRow,
    SearchHit,
    ShardRow,
    SubscriptionRow,
    TenantFacts,
    TenantRow,
    TopicRow,
    UserRow,
)
from prog_edge.web.ui.forms import FormState

Options = Sequence[tuple[str, str]]
Row = TypeVar("Row")

DOMAINS: Final = ("users", "tenants", "payments", "email", "monitoring", "events")
_DOMAIN_OPTIONS: Final = tuple((name, name) for name in DOMAINS)


def _options(*values: str) -> Options:
    return tuple((value, value.replace("_", " ").capitalize()) for value in values)


FILTERS: Final[Mapping[str, Mapping[str, Options]]] = {
    "users": {"role": _options("operator", "support"), "verified": _options("yes", "no")},
    "tenants": {"status": _options("provisioning", "active", "suspended", "deleting", "deleted")},
    "subscriptions": {
        "status": _options("incomplete", "trialing", "active", "past_due", "paused", "canceled", "unpaid"),
        "tenant": (),
    },
    "invoices": {"status": _options("draft", "open", "paid", "void", "uncollectible"), "tenant": ()},
    "messages": {
        "status": _options("pending", "succeeded", "refused", "retrying", "dead"),
        "domain": _DOMAIN_OPTIONS,
        "tenant": (),
    },
    "events": {"domain": _DOMAIN_OPTIONS, "type": (), "tenant": ()},
    "impersonations": {"state": _options("active", "over")},
    "audit": {"outcome": _options("success", "failure", "denial"), "tenant": ()},
    "dead-letters": {"domain": _DOMAIN_OPTIONS, "cause": ()},
}
"""The filters of each list; one without options takes any text and comes from links alone."""


@dataclass(frozen=True, slots=True)
class Listing:
    """What every list knows besides its rows. `older` is the address of the next page, `newest` of the first."""

    name: str
    path: str
    query: ListQuery
    options: Mapping[str, Options]
    older: str | None
    newest: str | None
    is_filtered: bool


def listing(name: str, query: ListQuery, next_cursor: str | None) -> Listing:
    path = f"/admin/{name}"
    chosen = {"search": query.search, **query.filters}
    kept = {key: value for key, value in chosen.items() if value}

    def address(**more: str) -> str:
        text = urlencode({**kept, **more})
        return f"{path}?{text}" if text else path

    return Listing(
        name=name,
        path=path,
        query=query,
        options=FILTERS[name],
        older=address(cursor=next_cursor) if next_cursor else None,
        newest=address() if query.cursor else None,
        is_filtered=bool(kept),
    )


@dataclass(frozen=True)
class ListPage(Generic[Row]):
    """Rows, and how they were asked for."""

    page: Page[Row]
    listing: Listing


@dataclass(frozen=True, slots=True)
class OverviewPage:
    template: ClassVar[str] = "admin/overview.html"
    overview: AdminOverview


class UsersPage(ListPage[UserRow]):
    template: ClassVar[str] = "admin/users.html"


class TenantsPage(ListPage[TenantRow]):
    template: ClassVar[str] = "admin/tenants.html"


class SubscriptionsPage(ListPage[SubscriptionRow]):
    template: ClassVar[str] = "admin/subscriptions.html"


class InvoicesPage(ListPage[AdminInvoiceRow]):
    template: ClassVar[str] = "admin/invoices.html"


class MessagesPage(ListPage[MessageRow]):
    template: ClassVar[str] = "admin/messages.html"


@dataclass(frozen=True)
class EventsPage(ListPage[EventRow]):
    """`stream` is the address of the live feed with the page's filters; None on older pages."""

    template: ClassVar[str] = "admin/events.html"
    stream: str | None


@dataclass(frozen=True)
class AuditPage(ListPage[AuditRow]):
    """`csv` is the address of all that the filters leave as a file; None where the API has no such filters."""

    template: ClassVar[str] = "admin/audit.html"
    csv: str | None


def audit_file(query: ListQuery) -> str | None:
    """Where the API gives the entries that a list shows as CSV: not those about one id, nor those of one tenant, which
    it takes from a header."""
    if query.filters.get("tenant") or is_id(query.search.partition("/")[0]):
        return None
    action = f"{query.search}*" if query.search else ""
    asked = {"format": "csv", "action": action, "outcome": query.filters.get("outcome", "")}
    return f"/v1/audit?{urlencode({name: value for name, value in asked.items() if value})}"


@dataclass(frozen=True)
class DeadLettersPage(ListPage[DeadLetterRow]):
    """`causes` are the open letters' on the list's first page without filters."""

    template: ClassVar[str] = "admin/dead_letters.html"
    causes: Sequence[DeadLetterCause]


@dataclass(frozen=True, slots=True)
class ReplaysPage:
    template: ClassVar[str] = "admin/replays.html"
    replays: Sequence[ReplayRow]
    consumer_groups: Sequence[str]
    form: FormState


@dataclass(frozen=True, slots=True)
class ConsumersPage:
    template: ClassVar[str] = "admin/consumers.html"
    consumers: Sequence[ConsumerRow]


@dataclass(frozen=True, slots=True)
class TopicsPage:
    template: ClassVar[str] = "admin/topics.html"
    topics: Sequence[TopicRow]


@dataclass(frozen=True, slots=True)
class TopicPage:
    template: ClassVar[str] = "admin/topic.html"
    topic: TopicRow
    shards: Sequence[ShardRow]


@dataclass(frozen=True, slots=True)
class StoryPage:
    template: ClassVar[str] = "admin/story.html"
    tree: StoryTree


@dataclass(frozen=True, slots=True)
class FindPage:
    template: ClassVar[str] = "admin/find.html"
    text: str
    hits: Sequence[SearchHit]


@dataclass(frozen=True, slots=True)
class FindPart:
    """The hits alone, for the palette."""

    template: ClassVar[str] = "admin/hits.html"
    hits: Sequence[SearchHit]


LENGTHS: Final[Options] = tuple((str(minutes), f"{minutes} minutes") for minutes in (5, 15, 30, 60))


@dataclass(frozen=True, slots=True)
class ImpersonationsPage(ListPage[ImpersonationRow]):
    template: ClassVar[str] = "admin/impersonations.html"


@dataclass(frozen=True, slots=True)
class PersonFactsPage:
    """`form` resets second factors; `acting` begins to act in the person's name."""

    template: ClassVar[str] = "admin/user.html"
    person: PersonFacts
    form: FormState
    acting: FormState = field(default_factory=FormState)
    lengths: Options = LENGTHS


@dataclass(frozen=True, slots=True)
class TenantFactsPage:
    template: ClassVar[str] = "admin/tenant.html"
    tenant: TenantFacts
    form: FormState
