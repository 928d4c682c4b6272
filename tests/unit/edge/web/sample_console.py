"""Sample data behind the console's pages."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from prog_contracts.errors import Conflict, Invalid, NotFound
from prog_contracts.ids import encode_id
from prog_contracts.money import Money
from prog_contracts.topics import TOPICS, Topic
from prog_edge.web.ports import (
    AdminInvoiceRow,
    AdminOverview,
    AuditRow,
    ConsumerRow,
    DeadLetterCause,
    DeadLetterRow,
    EventRow,
    ListQuery,
    MessageRow,
    Page,
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
    Viewer,
)

NOW = datetime.now(UTC).replace(microsecond=412_000)
_NAMES = (
    ("Ada Lovelace", "ada@example.com"),
    ("Grace Hopper", "grace@example.com"),
    ("Charles Babbage", "charles@example.com"),
    ("Mary Somerville", "mary.somerville@a-rather-long-company-name.example"),
    ("Edsger Dijkstra", "edsger@example.com"),
)
_TENANTS = ("Analytical Engines", "Difference Lab", "Compiler Works", "Celestial Mechanics", "Shortest Paths")
_EVENTS = (
    "users.user_authenticated",
    "payments.payment_processed",
    "email.email_delivered",
    "payments.invoice_generated",
    "tenants.member_joined",
    "users.email_verified",
    "tenants.tenant_created",
    "users.user_created",
)


def sample_id(prefix: str, number: int) -> str:
    """A TypeID that looks like one: a UUIDv7 with `number` in it."""
    return encode_id(prefix, UUID(int=(0x0199C1F2A3B47 << 76) | (number * 0x9E3779B97F4A7C15) % (1 << 62)))


def message_id(number: int) -> str:
    return str(UUID(int=(0x0199C1F2A3B47 << 76) | (number * 0x9E3779B97F4A7C15) % (1 << 62)))


def usd(amount: int) -> Money:
    return Money(amount=amount, currency="USD")


def sample_series(labels: Sequence[str], unit: str, height: float, phase: float = 0.0) -> Series:
    end = int(NOW.timestamp()) // 10 * 10
    times = [float(end - 10 * (90 - step)) for step in range(90)]
    return Series(
        times=times,
        values={
            label: [
                round(
                    height * (line + 1) * (1 + 0.35 * math.sin(step / 9 + phase) + 0.12 * math.sin(step * 1.7 + line)),
                    2,
                )
                for step in range(90)
            ]
            for line, label in enumerate(labels)
        },
        unit=unit,
    )


def sample_event(position: int) -> EventRow:
    name = _EVENTS[position % len(_EVENTS)]
    return EventRow(
        position=position,
        id=message_id(position),
        type=f"prognetwork.{name}",
        tenant_id=sample_id("tenant", position % 5),
        tenant_name=_TENANTS[position % 5],
        subject=sample_id(name.split(".")[0].rstrip("s"), position),
        actor=sample_id("user", position % 4),
        recorded_at=NOW - timedelta(seconds=1.7 * (18_240 - position)),
    )


def sample_story(object_id: str) -> Story:
    tenant, user = sample_id("tenant", 7), sample_id("user", 1)

    def node(
        number: int, kind: Any, kind_type: str, title: str, at: float, took: float | None, **more: Any
    ) -> StoryNode:
        return StoryNode(
            id=message_id(900 + number),
            kind=kind,
            type=f"prognetwork.{kind_type}" if kind in ("command", "event") else kind_type,
            title=title,
            status=more.pop("status", "succeeded"),
            at=NOW + timedelta(milliseconds=at),
            milliseconds=took,
            actor=user,
            tenant_id=tenant,
            body=more.pop(
                "body", {"tenant_id": tenant, "amount": 4900, "currency": "USD", "final": True, "note": None}
            ),
            **more,
        )

    receipt = node(9, "mail", "receipt", "to ada@example.com", 131, 22.1, status="delivered")
    failed = node(
        8, "mail", "invoice_copy", "to billing@example.invalid", 131, 40.0, status="failed", error="550 no such mailbox"
    )
    paid = node(
        7, "event", "payments.payment_processed", "$49.00 for PN-2026-0014", 128, None, children=(receipt, failed)
    )
    charge = node(6, "charge", "visa •••• 4242", "$49.00", 66, 61.4, status="paid", children=(paid,))
    attempt = node(5, "command", "payments.charge_invoice", "PN-2026-0014", 63, 64.8, children=(charge,))
    invoice = node(
        4,
        "event",
        "payments.invoice_generated",
        "PN-2026-0014",
        61,
        None,
        subject=sample_id("invoice", 14),
        children=(attempt,),
    )
    created = node(
        3, "event", "payments.subscription_created", "Team, monthly", 61, None, subject=sample_id("subscription", 1)
    )
    changed = node(2, "event", "tenants.billing_changed", "Team", 70, None)
    root = node(
        1,
        "command",
        "payments.create_subscription",
        "Team, monthly",
        57,
        4.1,
        subject=sample_id("subscription", 1),
        children=(created, invoice, changed),
    )
    timer = node(10, "timer", "renewal of Team", "in 30 days", 62, None, status="pending")
    return Story(id=object_id, title="Subscription of Analytical Engines", roots=(root, timer))


def sample_topic(topic: Topic, empty: bool) -> TopicRow:
    """Of the payments' events `users` reads none; nothing was measured of the tenants'; `email` is far behind."""
    lags = {"tenants": (3, 0.2), "email": (1840, 14.0)} if topic.domain == "payments" else {}
    readers = []
    for n, group in enumerate(topic.consumers):
        reads = (topic.domain, group) != ("payments", "users")
        measured = reads and not empty and topic.domain != "tenants"
        figures = (8.1 * (n + 1), *lags.get(group, (0, None))) if measured else (0.0, None, None)
        readers.append(TopicReader(group, reads, *figures))
    return TopicRow(topic.name, topic.kind, topic.partitions, topic.retention_hours, readers)


def sample_shards(topic: Topic, empty: bool) -> list[ShardRow]:
    """Nobody reads the first partition for `email`, and a replay holds the events'."""
    rows = []
    for group in topic.consumers:
        for partition in range(topic.partitions):
            known = not empty and group != "users"
            owner = None if not known or (group, partition) == ("email", 0) else f"worker-{group}-1f3a9c"
            rows.append(
                ShardRow(
                    group=group, partition=partition,
                    lag=(1840 if owner is None else 0) if known else None,
                    oldest_seconds=14.0 if known and owner is None else None,
                    owner=owner, leased_until=None if owner is None else NOW + timedelta(seconds=8),
                    held=known and group == "events",
                )
            )  # fmt: skip
    return rows


@dataclass
class SampleAdmin:
    empty: bool = False
    redriven: list[str] = field(default_factory=list)
    bodies: list[str | None] = field(default_factory=list)
    decided: list[tuple[str, str]] = field(default_factory=list)
    started: list[dict[str, str]] = field(default_factory=list)
    dropped: list[str] = field(default_factory=list)
    pause_seconds: float = 1.5
    unheard_sign_outs: int = 3
    resent: list[str] = field(default_factory=list)
    others_resend: bool = False

    def _page(self, query: ListQuery, rows: Sequence[Any]) -> Page[Any]:
        if self.empty or query.search == "nothing":
            return Page(())
        return Page(rows, next_cursor=None if query.cursor else "older")

    async def resend_sign_outs(self, viewer: Viewer, *, idempotency_key: str) -> tuple[int, bool]:
        self.resent.append(idempotency_key)
        count, self.unheard_sign_outs = 0 if self.others_resend else self.unheard_sign_outs, 0
        return count, count > 999

    async def overview(self, viewer: Viewer) -> AdminOverview:
        return AdminOverview(
            users=0 if self.empty else 1284,
            tenants=0 if self.empty else 212,
            active_subscriptions=0 if self.empty else 187,
            monthly_revenue=usd(0 if self.empty else 1_128_300),
            messages_per_second=0.0 if self.empty else 42.7,
            p95_milliseconds=None if self.empty else 11.8,
            lag=0 if self.empty else 3,
            dead_letters=0 if self.empty else 2,
            unheard_sign_outs=0 if self.empty else self.unheard_sign_outs,
            throughput=Series((), {"all": ()}, "/s") if self.empty else sample_series(("all",), "/s", 38),
            latency=Series((), {"p50": ()}, "ms")
            if self.empty
            else sample_series(("p50", "p95", "p99"), "ms", 4.2, phase=1.2),
            services=(
                ServiceHealth("edge", True, "up 3 h"),
                ServiceHealth("relay", True, "up 3 h"),
                ServiceHealth("scheduler", True, "up 3 h"),
                ServiceHealth("worker users tenants payments email", True, "up 12 min"),
                ServiceHealth("worker monitoring events", False, "restarting"),
                ServiceHealth("PostgreSQL", True, "18.1"),
                ServiceHealth("Valkey", True, "9.1"),
            ),
            latest=() if self.empty else [sample_event(18_240 - step) for step in range(9)],
        )

    async def users(self, viewer: Viewer, query: ListQuery) -> Page[UserRow]:
        return self._page(
            query,
            [
                UserRow(
                    sample_id("user", n),
                    name,
                    email,
                    n != 3,
                    "operator" if n == 1 else None,
                    n % 3,
                    NOW - timedelta(hours=7 * n),
                )
                for n, (name, email) in enumerate(_NAMES)
            ],
        )

    async def tenants(self, viewer: Viewer, query: ListQuery) -> Page[TenantRow]:
        states: Sequence[Any] = ("active", "active", "provisioning", "suspended", "active")
        return self._page(
            query,
            [
                TenantRow(
                    sample_id("tenant", n),
                    name,
                    name.lower().replace(" ", "-"),
                    states[n],
                    None if n == 2 else "Team",
                    n + 1,
                    NOW - timedelta(days=3 * n),
                    NOW + timedelta(days=31) if n == 1 else None,
                )
                for n, name in enumerate(_TENANTS)
            ],
        )

    async def subscriptions(self, viewer: Viewer, query: ListQuery) -> Page[SubscriptionRow]:
        states: Sequence[Any] = ("active", "past_due", "trialing", "canceled", "active")
        return self._page(
            query,
            [
                SubscriptionRow(
                    sample_id("subscription", n),
                    sample_id("tenant", n),
                    name,
                    "Team",
                    states[n],
                    usd(4900),
                    "month",
                    NOW + timedelta(days=4 * n),
                    NOW - timedelta(days=40 + n),
                )
                for n, name in enumerate(_TENANTS)
            ],
        )

    async def invoices(self, viewer: Viewer, query: ListQuery) -> Page[AdminInvoiceRow]:
        states: Sequence[Any] = ("paid", "open", "paid", "void", "uncollectible")
        return self._page(
            query,
            [
                AdminInvoiceRow(
                    sample_id("invoice", n),
                    f"PN-2026-{20 - n:04d}",
                    sample_id("tenant", n),
                    name,
                    states[n],
                    usd(4900 + 100 * n),
                    usd(4900 + 100 * n if states[n] == "open" else 0),
                    NOW - timedelta(days=n),
                )
                for n, name in enumerate(_TENANTS)
            ],
        )

    async def messages(self, viewer: Viewer, query: ListQuery) -> Page[MessageRow]:
        types = (
            "users.authenticate",
            "payments.charge_invoice",
            "email.deliver_mail",
            "tenants.create_tenant",
            "users.register_user",
        )
        states: Sequence[Any] = ("succeeded", "succeeded", "retrying", "refused", "dead")
        return self._page(
            query,
            [
                MessageRow(
                    message_id(n),
                    f"prognetwork.{types[n % 5]}",
                    sample_id("tenant", n % 5),
                    _TENANTS[n % 5],
                    sample_id("user", n) if n % 2 else "scheduler",
                    states[n % 5],
                    3 if n % 5 == 2 else 1,
                    2.4 * (n + 1),
                    NOW - timedelta(seconds=9 * n),
                    {2: "The mail server does not answer.", 3: "A tenant with this name exists."}.get(n % 5),
                )
                for n in range(12)
            ],
        )

    async def events(self, viewer: Viewer, query: ListQuery) -> Page[EventRow]:
        return self._page(query, [sample_event(18_240 - step) for step in range(14)])

    async def audit(self, viewer: Viewer, query: ListQuery) -> Page[AuditRow]:
        whys = (None, "wrong_password", "denied")
        return self._page(
            query,
            [
                AuditRow(
                    tenant_id=sample_id("tenant", n % 5),
                    sequence=400 - n,
                    tenant_name=None if n % 5 == 4 else _TENANTS[n % 5],
                    at=NOW - timedelta(seconds=37 * n),
                    action=("tenants.member_invited", "users.authentication_failed", "GET /v1/invoices")[n % 3],
                    outcome=("success", "failure", "denial")[n % 3],
                    why=whys[n % 3],
                    permission="billing.read" if n % 3 == 2 else None,
                    actor="a visitor" if n % 3 == 1 else sample_id("user", n % 4),
                    subject=sample_id("invitation", n) if n % 3 == 0 else None,
                    address="2001:db8:85a3::8a2e:370:7334" if n == 4 else f"203.0.113.{n}",
                    count=1 if n % 3 != 2 else 1200 + n,
                    story_id=None if n % 3 == 2 else message_id(n),
                )
                for n in range(12)
            ],
        )

    async def follow_events(
        self, viewer: Viewer, filters: Mapping[str, str], after: int | None
    ) -> AsyncIterator[EventRow | None]:
        yield None
        for position in range((after or 18_240) + 1, (after or 18_240) + 40):
            await asyncio.sleep(self.pause_seconds)
            yield sample_event(position)

    async def consumers(self, viewer: Viewer) -> Sequence[ConsumerRow]:
        if self.empty:
            return ()
        return [
            ConsumerRow(
                group=group,
                topics=(f"prog.{group}.commands", "prog.users.events"),
                per_second=8.1 * (n + 1),
                lag=(0, 3, 0, 1840)[n],
                oldest_seconds=(None, 0.2, None, 14.0)[n],
                p50_milliseconds=1.9 + n,
                p95_milliseconds=6.4 + 3 * n,
                p99_milliseconds=14.2 + 9 * n,
                handled=18_000 * (n + 1),
                retries=n * 2,
                dead_letters=2 if n == 2 else 0,
                throughput=sample_series(("all",), "/s", 8.0 * (n + 1), phase=n),
                latency=sample_series(("p50", "p95", "p99"), "ms", 2.0 + n, phase=n + 1),
            )
            for n, group in enumerate(("users", "tenants", "payments", "email"))
        ]

    async def topics(self, viewer: Viewer) -> Sequence[TopicRow]:
        return [sample_topic(topic, self.empty) for topic in TOPICS.values()]

    async def topic(self, viewer: Viewer, name: str) -> tuple[TopicRow, Sequence[ShardRow]]:
        if name not in TOPICS:
            raise NotFound("There is no such topic.")
        return sample_topic(TOPICS[name], self.empty), sample_shards(TOPICS[name], self.empty)

    async def dead_letters(self, viewer: Viewer, query: ListQuery) -> Page[DeadLetterRow]:
        return self._page(
            query,
            [
                DeadLetterRow(
                    id="1",
                    message_id=message_id(501),
                    topic="prog.payments.commands",
                    group="payments",
                    type="prognetwork.payments.charge_invoice",
                    tenant_id=sample_id("tenant", 1),
                    reason="The payment provider did not answer in 10 s, five times.",
                    detail="Traceback (most recent call last):\n"
                    '  File "handlers.py", line 88, in charge_invoice\nUnavailable: gateway',
                    body={"invoice_id": sample_id("invoice", 2), "attempt": 4, "trigger": "dunning"},
                    attempts=5,
                    died_at=NOW - timedelta(minutes=14),
                ),
                DeadLetterRow(
                    id="2",
                    message_id=message_id(502),
                    topic="prog.users.commands",
                    group="users",
                    type="prognetwork.users.register_user",
                    tenant_id=None,
                    reason="The body does not decode: email is missing.",
                    detail="ValidationError: 1 validation error for RegisterUser",
                    body='{"user_id": 12}',
                    attempts=1,
                    died_at=NOW - timedelta(hours=5),
                ),
            ],
        )

    async def dead_letter_causes(self, viewer: Viewer) -> Sequence[DeadLetterCause]:
        if self.empty:
            return []
        return [
            DeadLetterCause(
                "0123456789abcdef", "payments", "prognetwork.payments.charge_invoice", "unexpected_exception",
                "RuntimeError: the gateway said something new", 12, 3, NOW - timedelta(hours=5), NOW,
            )
        ]  # fmt: skip

    async def decide_cause(
        self, viewer: Viewer, group: str, fingerprint: str, decision: Literal["redrive", "drop"]
    ) -> tuple[int, int]:
        if fingerprint != "0123456789abcdef":
            raise NotFound("There is no open dead letter with this cause.")
        self.decided.append((group, decision))
        return 12, 0

    async def replays(self, viewer: Viewer) -> Sequence[ReplayRow]:
        states = () if self.empty else ("running", "pending", "failed", "done")
        return [
            ReplayRow(
                id=str(UUID(int=n + 1)), group="events", state=state, waits_for_worker=state == "pending",
                reason="the index had a defect", requested_by=sample_id("user", n), scope="everything", resets=n == 2,
                holds_live=n == 2, done=400 * n + 700, total=None if n == 1 else 4000, failed=n, suppressed=0,
                per_second=812.5 if n else None, eta_seconds=12.0 if n == 0 else None,
                failure="RuntimeError: no" if state == "failed" else None, requested_at=NOW,
            )
            for n, state in enumerate(states)
        ]  # fmt: skip

    async def start_replay(self, viewer: Viewer, asked: Mapping[str, str]) -> None:
        if not asked.get("reason"):
            raise Invalid.field("reason", "missing", "Say why: others will read it.")
        if asked.get("group") == "users":
            raise Invalid("Nothing of users can be replayed.", code="not_replayable")
        self.started.append(dict(asked))

    async def decide_replay(
        self, viewer: Viewer, replay_id: str, decision: Literal["pause", "resume", "cancel"]
    ) -> None:
        if decision == "resume":
            raise Conflict("The replay is running: it cannot be resumed.")
        self.decided.append((replay_id, decision))

    async def redrive(self, viewer: Viewer, dead_letter_id: str, body: str | None = None) -> None:
        if body is not None and "{" not in body:
            raise Invalid("The body breaks its schema: it is no object; mend the body", code="invalid_body")
        self.bodies.append(body)
        if dead_letter_id == "2":
            raise Conflict("This message cannot be decoded; edit it first.")
        self.redriven.append(dead_letter_id)

    async def drop(self, viewer: Viewer, dead_letter_id: str) -> None:
        self.dropped.append(dead_letter_id)

    async def story(self, viewer: Viewer, object_id: str) -> Story:
        if object_id == "unknown":
            raise NotFound("Nothing is known of this id.")
        if self.empty:
            return Story(object_id, "Nothing yet", ())
        return sample_story(object_id)

    async def find(self, viewer: Viewer, text: str) -> Sequence[SearchHit]:
        if text == "nothing":
            return ()
        return (
            SearchHit("user", "Ada Lovelace", "ada@example.com", f"/admin/users/{sample_id('user', 1)}"),
            SearchHit("tenant", "Analytical Engines", "Team, active", f"/admin/tenants/{sample_id('tenant', 7)}"),
        )
