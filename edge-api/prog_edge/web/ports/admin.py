"""What the admin console needs: lists across tenants, live figures, causal stories and dead letters."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

from prog_contracts.money import Money
from prog_contracts.payments import Interval, InvoiceStatus, SubscriptionStatus
from prog_contracts.tenants import TenantStatus
from prog_contracts.users import PlatformRole
from prog_edge.web.ports.shared import ListQuery, Page, Viewer

NodeKind = Literal["command", "event", "mail", "charge", "timer"]
MessageStatus = Literal["pending", "succeeded", "refused", "retrying", "dead"]


@dataclass(frozen=True, slots=True)
class Series:
    """Lines over time: `times` in epoch seconds, and for each label as many values (None: nothing measured)."""

    times: Sequence[float]
    values: Mapping[str, Sequence[float | None]]
    unit: str


@dataclass(frozen=True, slots=True)
class ServiceHealth:
    """A process or server that the platform runs on: `detail` says what is wrong, or since when it is up."""

    name: str
    healthy: bool
    detail: str


@dataclass(frozen=True, slots=True)
class AdminOverview:
    """Figures of the whole platform now; the series cover the last 15 minutes in 10 s windows.

    `unheard_sign_outs` are those of the last week of which apps did not hear, and will not unless they are sent again.
    """

    users: int
    tenants: int
    active_subscriptions: int
    monthly_revenue: Money
    messages_per_second: float
    p95_milliseconds: float | None
    lag: int
    dead_letters: int
    unheard_sign_outs: int
    throughput: Series
    latency: Series
    services: Sequence[ServiceHealth]
    latest: Sequence[EventRow]


@dataclass(frozen=True, slots=True)
class UserRow:
    id: str
    name: str
    email: str
    email_verified: bool
    platform_role: PlatformRole | None
    tenants: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TenantRow:
    id: str
    name: str
    slug: str
    status: TenantStatus
    plan: str | None
    members: int
    created_at: datetime
    clock_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionRow:
    id: str
    tenant_id: str
    tenant_name: str
    plan: str
    status: SubscriptionStatus
    price: Money
    interval: Interval
    current_period_end: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AdminInvoiceRow:
    id: str
    number: str
    tenant_id: str
    tenant_name: str
    status: InvoiceStatus
    total: Money
    amount_due: Money
    issued_at: datetime


@dataclass(frozen=True, slots=True)
class MessageRow:
    """A command that was handled (a row of the inbox). `error` is the answer when it was refused or died."""

    id: str
    type: str
    tenant_id: str
    tenant_name: str | None
    actor: str
    status: MessageStatus
    attempts: int
    milliseconds: float | None
    received_at: datetime
    error: str | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event of the log. `position` is its place in commit order, and what a live view resumes after."""

    position: int
    id: str
    type: str
    tenant_id: str
    tenant_name: str | None
    subject: str | None
    actor: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry of the audit trail. `why` is the code of what went wrong; `story_id` opens what tells more."""

    tenant_id: str
    sequence: int
    tenant_name: str | None
    at: datetime
    action: str
    outcome: Literal["success", "failure", "denial"]
    why: str | None
    permission: str | None
    actor: str
    subject: str | None
    address: str | None
    count: int
    story_id: str | None


@dataclass(frozen=True, slots=True)
class ConsumerRow:
    """One consumer group. Figures are of the last closed window; `series` covers the last 15 minutes."""

    group: str
    topics: Sequence[str]
    per_second: float
    lag: int
    oldest_seconds: float | None
    p50_milliseconds: float | None
    p95_milliseconds: float | None
    p99_milliseconds: float | None
    handled: int
    retries: int
    dead_letters: int
    throughput: Series
    latency: Series


@dataclass(frozen=True, slots=True)
class TopicReader:
    """A group that may read a topic; not `reads`: it has no handler for it. `lag` is None where it is not known."""

    group: str
    reads: bool
    per_second: float
    lag: int | None
    oldest_seconds: float | None


@dataclass(frozen=True, slots=True)
class TopicRow:
    """A topic of the table. One of the kind `dead` has no readers: it announces the dead letters of a group."""

    name: str
    kind: Literal["commands", "events", "dead"]
    partitions: int
    retention_hours: int
    readers: Sequence[TopicReader]

    @property
    def lag(self) -> int | None:
        """What waits for the group that is furthest behind."""
        return max((reader.lag for reader in self.readers if reader.lag is not None), default=None)

    @property
    def oldest_seconds(self) -> float | None:
        ages = (reader.oldest_seconds for reader in self.readers if reader.oldest_seconds is not None)
        return max(ages, default=None)


@dataclass(frozen=True, slots=True)
class ShardRow:
    """One partition of a topic for one group, and the process that holds its lease (None: nobody reads it)."""

    group: str
    partition: int
    lag: int | None
    oldest_seconds: float | None
    owner: str | None
    leased_until: datetime | None
    held: bool
    """A replay of the group holds it: its messages wait until that is over."""


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    id: str
    message_id: str
    topic: str
    group: str
    type: str
    tenant_id: str | None
    reason: str
    detail: str
    body: Mapping[str, Any] | str
    attempts: int
    died_at: datetime
    history: Sequence[str] = ()
    """What happened to it, the oldest first, a line each."""


@dataclass(frozen=True, slots=True)
class DeadLetterCause:
    """Open letters of one consumer group with one cause."""

    fingerprint: str
    group: str
    type: str
    code: str
    reason: str
    count: int
    tenants: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """A replay and how far it is. `position` is the last message's in the log; `failure` where it stopped."""

    id: str
    group: str
    state: str
    waits_for_worker: bool
    reason: str
    requested_by: str
    scope: str
    resets: bool
    holds_live: bool
    done: int
    total: int | None
    failed: int
    suppressed: int
    per_second: float | None
    eta_seconds: float | None
    failure: str | None
    requested_at: datetime

    @property
    def is_over(self) -> bool:
        return self.state in ("done", "cancelled")


@dataclass(frozen=True, slots=True)
class StoryNode:
    """One thing that happened, and what it caused. `id` opens it; `subject` is the object that it is about.

    `milliseconds` is the time that handling took; `body` is the message, mail or charge as JSON.
    """

    id: str
    kind: NodeKind
    type: str
    title: str
    status: str
    at: datetime
    milliseconds: float | None
    actor: str
    tenant_id: str
    subject: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    children: Sequence[StoryNode] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """The causal trees that touch an object, oldest first. A message or correlation id has one tree, a long-lived
    object (a tenant, a subscription) one for every time that something began with it."""

    id: str
    title: str
    roots: Sequence[StoryNode]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class SearchHit:
    """Something that the palette found: `kind` is a word for people (user, tenant, invoice), `href` opens it."""

    kind: str
    title: str
    subtitle: str
    href: str


class AdminBackend(Protocol):
    """Read across tenants as the platform operator. The routes have checked the role; so must this."""

    async def overview(self, viewer: Viewer) -> AdminOverview: ...

    async def users(self, viewer: Viewer, query: ListQuery) -> Page[UserRow]:
        """Filters: `role` (operator, support), `verified` (yes, no)."""
        ...

    async def tenants(self, viewer: Viewer, query: ListQuery) -> Page[TenantRow]:
        """Filters: `status`."""
        ...

    async def subscriptions(self, viewer: Viewer, query: ListQuery) -> Page[SubscriptionRow]:
        """Filters: `status`, `tenant`."""
        ...

    async def invoices(self, viewer: Viewer, query: ListQuery) -> Page[AdminInvoiceRow]:
        """Filters: `status`, `tenant`."""
        ...

    async def messages(self, viewer: Viewer, query: ListQuery) -> Page[MessageRow]:
        """Filters: `status`, `domain`, `tenant`."""
        ...

    async def events(self, viewer: Viewer, query: ListQuery) -> Page[EventRow]:
        """Filters: `domain`, `type`, `tenant`."""
        ...

    async def audit(self, viewer: Viewer, query: ListQuery) -> Page[AuditRow]:
        """Filters: `outcome`, `tenant`. The search is an id, or the beginning of an action."""
        ...

    def follow_events(
        self, viewer: Viewer, filters: Mapping[str, str], after: int | None
    ) -> AsyncIterator[EventRow | None]:
        """Events as they are recorded, from after position `after` (None: from now). None about every 10 s when
        nothing happens, which keeps the connection alive."""
        ...

    async def consumers(self, viewer: Viewer) -> Sequence[ConsumerRow]: ...

    async def topics(self, viewer: Viewer) -> Sequence[TopicRow]:
        """Every topic, in the table's order."""
        ...

    async def topic(self, viewer: Viewer, name: str) -> tuple[TopicRow, Sequence[ShardRow]]:
        """One topic and its shards; `NotFound` when the table has none of this name."""
        ...

    async def dead_letters(self, viewer: Viewer, query: ListQuery) -> Page[DeadLetterRow]:
        """Filters: `domain`."""
        ...

    async def dead_letter_causes(self, viewer: Viewer) -> Sequence[DeadLetterCause]: ...

    async def decide_cause(
        self, viewer: Viewer, group: str, fingerprint: str, decision: Literal["redrive", "drop"]
    ) -> tuple[int, int]:
        """How many letters were decided, and how many refused it; `NotFound` when none is open."""
        ...

    async def replays(self, viewer: Viewer) -> Sequence[ReplayRow]:
        """The newest fifty."""
        ...

    async def start_replay(self, viewer: Viewer, asked: Mapping[str, str]) -> None:
        """`asked`: `group`, `reason`, and where given `types` (comma separated), `tenant_id`, `subject`,
        `from_position`, `to_position`, and `reset` and `skip_failing` (yes). Raises `Invalid` and `Conflict`."""
        ...

    async def decide_replay(
        self, viewer: Viewer, replay_id: str, decision: Literal["pause", "resume", "cancel"]
    ) -> None:
        """A rebuild that is cancelled leaves its projection incomplete; the page has said so."""
        ...

    async def resend_sign_outs(self, viewer: Viewer, *, idempotency_key: str) -> tuple[int, bool]:
        """Has apps told again of sign-outs that they did not hear of: how many, and whether there are more."""
        ...

    async def redrive(self, viewer: Viewer, dead_letter_id: str, body: str | None = None) -> None:
        """With a `body` the message says that instead. Raises `Invalid` when it breaks the schema."""
        ...

    async def drop(self, viewer: Viewer, dead_letter_id: str) -> None: ...

    async def story(self, viewer: Viewer, object_id: str) -> Story:
        """Of any object, message or correlation id; `NotFound` when nothing is known of it."""
        ...

    async def find(self, viewer: Viewer, text: str) -> Sequence[SearchHit]:
        """Up to eight hits for an id, an address, an invoice number or a name."""
        ...
