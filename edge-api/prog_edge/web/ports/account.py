"""What the account pages need: signing up and in, tenants with their people, and billing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prog_contracts.money import Money
from prog_contracts.payments import FailureReason, Interval, InvoiceStatus, SubscriptionStatus
from prog_contracts.tenants import TenantRole, TenantStatus
from prog_contracts.users import SecondFactor, SignInMethod
from prog_edge.web.ports.shared import Client, Plan, Viewer


@dataclass(frozen=True, slots=True)
class TenantCard:
    """A tenant in the list of a person's own."""

    id: str
    name: str
    status: TenantStatus
    role: TenantRole
    plan: str | None
    members: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MemberRow:
    user_id: str
    name: str
    email: str
    role: TenantRole
    joined_at: datetime
    picture: str | None = None


@dataclass(frozen=True, slots=True)
class SessionCard:
    """A session of the viewer's that goes on. `current` is the one that asks."""

    id: str
    device: str
    method: SignInMethod
    second_factor: SecondFactor | None
    client_address: str | None
    created_at: datetime
    last_used_at: datetime
    current: bool


@dataclass(frozen=True, slots=True)
class InvitationRow:
    """An invitation that was neither accepted nor taken back. One that has `expired` can be sent again."""

    id: str
    email: str
    role: TenantRole
    expires_at: datetime
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Dunning:
    """Why the last charge failed, and when the next one is tried (None: no more attempts are planned)."""

    reason: FailureReason
    failed_at: datetime
    amount: Money
    attempts: int
    next_attempt_at: datetime | None


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    id: str
    plan: str
    price_id: str
    price: Money
    interval: Interval
    status: SubscriptionStatus
    current_period_start: datetime
    current_period_end: datetime
    cancel_at_period_end: bool = False
    dunning: Dunning | None = None


@dataclass(frozen=True, slots=True)
class TenantView:
    """A tenant's overview. `clock_at` is set when it runs on a test clock and says where that stands, `purge_at` when
    it is being deleted: until then it can be restored. `seats` are those of the plan, None without limit; members and
    open invitations take them."""

    id: str
    name: str
    slug: str
    status: TenantStatus
    role: TenantRole
    created_at: datetime
    members: Sequence[MemberRow]
    invitations: Sequence[InvitationRow]
    subscription: SubscriptionView | None
    clock_at: datetime | None = None
    suspension_reason: str | None = None
    purge_at: datetime | None = None
    seats: int | None = None

    @property
    def seats_taken(self) -> int:
        return len(self.members) + sum(not invitation.expired for invitation in self.invitations)

    @property
    def is_full(self) -> bool:
        return self.seats is not None and self.seats_taken >= self.seats


@dataclass(frozen=True, slots=True)
class Card:
    brand: str
    last4: str
    expiry_month: int
    expiry_year: int


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    id: str
    number: str
    status: InvoiceStatus
    total: Money
    amount_due: Money
    issued_at: datetime
    period_start: datetime
    period_end: datetime
    story_id: str | None = None


@dataclass(frozen=True, slots=True)
class BillingView:
    """`sandbox` says that the gateway takes test tokens (`pm_ok` and its kin) in place of cards; `next_cursor` is that
    of the invoices before these."""

    tenant_id: str
    tenant_name: str
    role: TenantRole
    plans: Sequence[Plan]
    subscription: SubscriptionView | None
    card: Card | None
    invoices: Sequence[InvoiceRow]
    sandbox: bool
    clock_at: datetime | None = None
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class InvoicePdf:
    filename: str
    content: bytes


class AccountBackend(Protocol):
    """The viewer's tenants alone: any other id is `NotFound`, as if it did not exist."""

    async def register(
        self, *, email: str, password: str, name: str, tenant_name: str | None, idempotency_key: str
    ) -> None:
        """Answers alike for a known and an unknown address."""
        ...

    async def resend_verification(self, *, email: str) -> None: ...

    async def verify_email(self, *, token: str) -> None: ...

    async def request_password_reset(self, *, email: str, client: Client) -> None:
        """Answers alike, and as fast, for a known and an unknown address."""
        ...

    async def request_magic_link(self, *, email: str, client: Client) -> None:
        """As `request_password_reset`."""
        ...

    async def reset_password(self, *, token: str, password: str, client: Client, idempotency_key: str) -> None:
        """Opens no session. Raises Invalid with code `token_invalid` on `token` when the link is not good any more."""
        ...

    async def sessions(self, viewer: Viewer) -> Sequence[SessionCard]:
        """The last used first."""
        ...

    async def revoke_sessions(self, viewer: Viewer, session_id: str | None) -> None:
        """Ends one, or all but the viewer's own. Raises Denied with code `fresh_sign_in_required`."""
        ...

    async def tenants(self, viewer: Viewer) -> Sequence[TenantCard]: ...

    async def create_tenant(self, viewer: Viewer, *, name: str, idempotency_key: str) -> str:
        """The new tenant's id; it may still be `provisioning`, and its page waits for it."""
        ...

    async def tenant(self, viewer: Viewer, tenant_id: str) -> TenantView: ...

    async def invite_member(
        self, viewer: Viewer, tenant_id: str, *, email: str, role: TenantRole, idempotency_key: str
    ) -> None: ...

    async def accept_invitation(self, viewer: Viewer, *, token: str, idempotency_key: str) -> str:
        """The id of the tenant that was joined."""
        ...

    async def billing(self, viewer: Viewer, tenant_id: str, cursor: str | None = None) -> BillingView:
        """The last invoices first, or those from `cursor` on. Raises Invalid for a cursor of another list."""
        ...

    async def subscribe(
        self, viewer: Viewer, tenant_id: str, *, price_id: str, payment_method: str, idempotency_key: str
    ) -> None:
        """`payment_method` is a gateway token. A declined card is an error on that field, or a subscription
        `incomplete` with `dunning` set: the page shows either."""
        ...

    async def change_card(
        self, viewer: Viewer, tenant_id: str, *, payment_method: str, idempotency_key: str
    ) -> None: ...

    async def cancel_subscription(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        """At the end of the paid period."""
        ...

    async def invoice_pdf(self, viewer: Viewer, tenant_id: str, invoice_id: str) -> InvoicePdf: ...
