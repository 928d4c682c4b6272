"""What the pages need from the rest of the edge, one small protocol a client.

Routes know only these; the real implementations (commands out, queries in) live in `prog_edge.backend`, and the tests
run the same pages against sample data. Every method may raise a `prog_contracts.errors.ProgError`: `invalid` and
`conflict` become messages beside the form's fields (the names of the arguments here are the names of the fields),
`not_found` a 404 page, `denied` a 403 page, `unavailable` a page that says to try again. A command that is safely
stored but not done yet raises `StillWorking`.

`idempotency_key` is made with the form that was sent: a second click or a reload sends the same one, and the
implementation makes the command's id from it, so that nothing happens twice.
"""

from prog_edge.web.ports.account import (
    AccountBackend,
    BillingView,
    Card,
    Dunning,
    InvitationRow,
    InvoicePdf,
    InvoiceRow,
    MemberRow,
    SessionCard,
    SubscriptionView,
    TenantCard,
    TenantView,
)
from prog_edge.web.ports.admin import (
    AdminBackend,
    AdminInvoiceRow,
    AdminOverview,
    AuditRow,
    ConsumerRow,
    DeadLetterCause,
    DeadLetterRow,
    EventRow,
    MessageRow,
    ReplayRow,
    SearchHit,
    Series,
    ServiceHealth,
    ShardRow,
    Story,
    StoryNode,
    SubscriptionRow,
    TenantRow,
    TopicReader,
    TopicRow,
    UserRow,
)
from prog_edge.web.ports.api_keys import ApiKeyCard, ApiKeysBackend, ApiKeysView, MadeKey
from prog_edge.web.ports.identities import (
    Arrival,
    Departure,
    IdentitiesBackend,
    IdentityCard,
    ProviderCard,
    Purpose,
    ToProve,
)
from prog_edge.web.ports.mailbox import MailboxBackend, MailRow, MailView
from prog_edge.web.ports.security import EnrolmentView, SecondFactorView, SecurityBackend
from prog_edge.web.ports.services import WebServices
from prog_edge.web.ports.shared import (
    Client,
    ListQuery,
    OpenSession,
    Page,
    Plan,
    SecondStep,
    SessionCookie,
    Sessions,
    StillWorking,
    Viewer,
)
from prog_edge.web.ports.site import SiteBackend
from prog_edge.web.ports.tenancy import MemberView, TenancyBackend, TenantFacts

__all__ = [
    "AccountBackend",
    "AdminBackend",
    "AdminInvoiceRow",
    "AdminOverview",
    "ApiKeyCard",
    "ApiKeysBackend",
    "ApiKeysView",
    "Arrival",
    "AuditRow",
    "BillingView",
    "Card",
    "Client",
    "ConsumerRow",
    "DeadLetterCause",
    "DeadLetterRow",
    "Departure",
    "Dunning",
    "EnrolmentView",
    "EventRow",
    "IdentitiesBackend",
    "IdentityCard",
    "InvitationRow",
    "InvoicePdf",
    "InvoiceRow",
    "ListQuery",
    "MadeKey",
    "MailRow",
    "MailView",
    "MailboxBackend",
    "MemberRow",
    "MemberView",
    "MessageRow",
    "OpenSession",
    "Page",
    "Plan",
    "ProviderCard",
    "Purpose",
    "ReplayRow",
    "SearchHit",
    "SecondFactorView",
    "SecondStep",
    "SecurityBackend",
    "Series",
    "ServiceHealth",
    "SessionCard",
    "SessionCookie",
    "Sessions",
    "ShardRow",
    "SiteBackend",
    "StillWorking",
    "Story",
    "StoryNode",
    "SubscriptionRow",
    "SubscriptionView",
    "TenancyBackend",
    "TenantCard",
    "TenantFacts",
    "TenantRow",
    "TenantView",
    "ToProve",
    "TopicReader",
    "TopicRow",
    "UserRow",
    "Viewer",
    "WebServices",
]
