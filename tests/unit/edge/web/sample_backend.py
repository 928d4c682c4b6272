"""Sample data behind the pages, so that each can be rendered and looked at without a platform.

`python -m tests.unit.edge.web.sample_app` serves the pages with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from prog_contracts.errors import Conflict, Denied, Invalid, NotFound, ProgError
from prog_contracts.money import Money
from prog_contracts.passkeys import PasskeyAnswer
from prog_contracts.tenants import TenantRole, TenantStatus
from prog_contracts.users import SecondFactor
from prog_edge.problems import TooMuch
from prog_edge.web.ports import (
    BillingView,
    Card,
    Client,
    Dunning,
    InvitationRow,
    InvoicePdf,
    InvoiceRow,
    ListQuery,
    MailRow,
    MailView,
    MemberRow,
    MemberView,
    OpenSession,
    Page,
    PasskeyOffer,
    Plan,
    SecondStep,
    SessionCard,
    SessionCookie,
    SubscriptionView,
    TenantCard,
    TenantFacts,
    TenantView,
    Viewer,
    WebServices,
)
from tests.unit.edge.web.sample_analytics import SampleAnalytics
from tests.unit.edge.web.sample_configuration import SampleBranding, SampleConfiguration
from tests.unit.edge.web.sample_console import SampleAdmin, sample_id
from tests.unit.edge.web.sample_custom_domains import SampleCustomDomains
from tests.unit.edge.web.sample_directory import SampleDirectory
from tests.unit.edge.web.sample_exports import EXPIRED, FAILED, READY, SampleExports
from tests.unit.edge.web.sample_handover import SampleHandover
from tests.unit.edge.web.sample_identities import SampleIdentities
from tests.unit.edge.web.sample_impersonations import SampleImpersonations
from tests.unit.edge.web.sample_keys import SampleKeys
from tests.unit.edge.web.sample_profile import SampleProfile
from tests.unit.edge.web.sample_provider import SampleClients, SampleProvider
from tests.unit.edge.web.sample_security import CODES, FACTOR, PASSKEYS, SIGNED, TO_SIGN, SampleSecurity
from tests.unit.edge.web.sample_sign_on import SampleSignOn
from tests.unit.edge.web.sample_trail import SampleTrail

NOW = datetime.now(UTC).replace(microsecond=412_000)
TENANT = sample_id("tenant", 7)
OTHER_TENANT = sample_id("tenant", 8)
INVITATION = sample_id("invitation", 1)
GRACE = sample_id("user", 3)
ADA = Viewer(sample_id("user", 1), "ada@example.com", "Ada Lovelace", sample_id("session", 1))
OPERATOR = Viewer(
    sample_id("user", 2), "admin@prognetwork.local", "First Administrator", sample_id("session", 2), "operator"
)


def usd(amount: int) -> Money:
    return Money(amount=amount, currency="USD")


PLANS = (
    Plan(
        price_id=sample_id("price", 1),
        name="Starter",
        description="For a first product with its first customers.",
        price=usd(1900),
        interval="month",
        features=("3 people", "10,000 messages a day", "7 days of events"),
    ),
    Plan(
        price_id=sample_id("price", 2),
        name="Team",
        description="For a team whose customers pay and expect an answer.",
        price=usd(4900),
        interval="month",
        features=("20 people", "1 million messages a day", "90 days of events", "Test clocks"),
        highlighted=True,
    ),
    Plan(
        price_id=sample_id("price", 3),
        name="Business",
        description="For many tenants, audits and a number to call.",
        price=usd(19900),
        interval="month",
        features=("Unlimited people", "20 million messages a day", "A year of events", "Audit export"),
    ),
    Plan(
        price_id=sample_id("price", 4),
        name="Team",
        description="For a team whose customers pay and expect an answer.",
        price=usd(49000),
        interval="year",
        highlighted=True,
    ),
)


@dataclass
class SampleSessions:
    """The cookie's value names the viewer: `ada` or `operator`."""

    cookie_name: str = "prog_session"
    viewers: dict[str, Viewer] = field(default_factory=lambda: {"ada": ADA, "operator": OPERATOR})
    clients: list[Client] = field(default_factory=list)
    signed_out: list[str] = field(default_factory=list)

    async def open(self, cookie: str) -> OpenSession | None:
        viewer = self.viewers.get(cookie)
        return OpenSession(viewer) if viewer else None

    second_step_cookie_name: str = "prog_second_step"
    has_passkey: bool = False

    async def sign_in(self, email: str, password: str, client: Client) -> SessionCookie | SecondStep:
        self.clients.append(client)
        if email == "guessed@example.com":
            raise TooMuch("There were many wrong attempts.", code="too_many_attempts", retry_after_seconds=90)
        if email == "new@example.com":
            raise Denied("Verify your address first: open the link in our mail.", code="unverified")
        if password != "correct horse battery":
            raise Denied("Address and password do not go together.", code="wrong_credentials")
        if email.startswith("careful"):
            return SecondStep(SessionCookie("waiting", 300))
        return SessionCookie("operator" if email.startswith("admin") else "ada", 3600)

    async def sign_in_by_link(self, token: str, client: Client) -> SessionCookie | SecondStep:
        if token != "good":
            raise Invalid.field("token", "token_invalid", "This link is not valid any more; ask for a new one.")
        return SessionCookie("ada", 3600)

    def passkey_offer(self, browser: str) -> PasskeyOffer:
        return TO_SIGN

    async def sign_in_by_passkey(self, token: str, credential: str, browser: str, client: Client) -> SessionCookie:
        if token != TO_SIGN.token:
            raise Denied("That took too long. Try again.", code="passkey_challenge_over")
        if credential != SIGNED:
            raise Denied("This passkey is not good here.", code="invalid_passkey")
        return SessionCookie("ada", 3600)

    def second_step_offer(self, cookie: str) -> PasskeyOffer | None:
        return TO_SIGN if cookie == "waiting-keyed" else None

    async def step_up_offer(self, viewer: Viewer) -> PasskeyOffer | None:
        return TO_SIGN if self.has_passkey else None

    def second_step(self, cookie: str) -> Sequence[SecondFactor] | None:
        known: dict[str, Sequence[SecondFactor]] = {
            "waiting": ("totp", "recovery_code"),
            "waiting-keyed": ("passkey", "totp", "recovery_code"),
        }
        return known.get(cookie)

    async def complete(self, cookie: str, method: SecondFactor, code: str, client: Client) -> SessionCookie:
        if code == "000000":
            raise Denied("This sign-in took too long. Begin again.", code="sign_in_over")
        if code == "999999":
            raise TooMuch("There were many wrong attempts.", code="too_many_attempts", retry_after_seconds=1)
        if method == "passkey":
            if PasskeyAnswer.model_validate_json(code) != PasskeyAnswer(token=TO_SIGN.token, credential=SIGNED):
                raise Denied("This passkey is not good here.", code="invalid_passkey")
        elif code != {"totp": "123456", "recovery_code": CODES[0]}[method]:
            raise Denied.field("code", "invalid_code", "This code is not good.")
        return SessionCookie("ada", 3600)

    async def step_up(
        self, viewer: Viewer, method: Literal["password"] | SecondFactor, proof: str, client: Client
    ) -> SessionCookie:
        if method == "passkey":
            proof = "123456" if PasskeyAnswer.model_validate_json(proof).credential == SIGNED else ""
        if proof == "guessed":
            raise TooMuch("There were many wrong attempts.", code="too_many_attempts", retry_after_seconds=42)
        if proof not in ("123456", "correct horse battery"):
            name = "password" if method == "password" else "code"
            raise Denied.field(name, "wrong", "This is not good.")
        return SessionCookie("ada", 3600)

    async def sign_out(self, cookie: str, *, successor: str | None = None) -> None:
        self.signed_out.append(cookie)


@dataclass
class SampleSite:
    leads: list[tuple[str, str]] = field(default_factory=list)

    async def plans(self) -> Sequence[Plan]:
        return PLANS

    async def capture_lead(self, *, email: str, name: str | None, message: str | None, idempotency_key: str) -> None:
        if "@" not in email:
            raise Invalid.field("email", "not_an_address", "This is not an email address.")
        self.leads.append((email, idempotency_key))


SUBSCRIPTION = SubscriptionView(
    id=sample_id("subscription", 1),
    plan="Team",
    price_id=PLANS[1].price_id,
    price=usd(4900),
    interval="month",
    status="active",
    current_period_start=NOW - timedelta(days=9),
    current_period_end=NOW + timedelta(days=21),
)
PAST_DUE = replace(
    SUBSCRIPTION,
    status="past_due",
    dunning=Dunning("insufficient_funds", NOW - timedelta(hours=5), usd(4900), 1, NOW + timedelta(days=3)),
)
INVOICES = tuple(
    InvoiceRow(
        id=sample_id("invoice", number),
        number=f"PN-2026-{number:04d}",
        status="open" if number == 14 else "paid",
        total=usd(4900),
        amount_due=usd(4900 if number == 14 else 0),
        issued_at=NOW - timedelta(days=30 * (14 - number)),
        period_start=NOW - timedelta(days=30 * (14 - number)),
        period_end=NOW - timedelta(days=30 * (13 - number)),
    )
    for number in (14, 13, 12)
)
_MEMBERS = (
    MemberRow(ADA.user_id, ADA.name, ADA.email, "owner", NOW - timedelta(days=40)),
    MemberRow(GRACE, "Grace Hopper", "grace@example.com", "admin", NOW - timedelta(days=12)),
    MemberRow(sample_id("user", 4), "Charles Babbage", "charles@example.com", "billing", NOW - timedelta(days=2)),
)


@dataclass
class SampleAccount:
    """`subscription` and `empty` choose which state the pages show."""

    subscription: SubscriptionView | None = SUBSCRIPTION
    empty: bool = False
    registered: list[str] = field(default_factory=list)
    created: list[str] = field(default_factory=list)
    revoked: list[str | None] = field(default_factory=list)
    fresh: bool = True
    clock_at: datetime | None = None
    status: Any = "active"
    role: TenantRole = "owner"
    seats: int | None = 20

    async def register(
        self, *, email: str, password: str, name: str, tenant_name: str | None, idempotency_key: str
    ) -> None:
        if len(password) < 8:
            raise Invalid.field("password", "too_short", "A password has 8 characters or more.")
        self.registered.append(email)

    async def resend_verification(self, *, email: str) -> None:
        if "@" not in email:
            raise Invalid.field("email", "not_an_address", "This is not an email address.")

    async def verify_email(self, *, token: str) -> None:
        if token == "opened":
            raise Conflict("This address is verified already; sign in.", code="already_verified")
        if token != "good":
            raise Invalid("This link has been used or is too old.", code="spent_token")

    async def request_password_reset(self, *, email: str, client: Client) -> None:
        if "@" not in email:
            raise Invalid.field("email", "invalid_email", "Enter an e-mail address such as ada@example.com.")

    async def request_magic_link(self, *, email: str, client: Client) -> None:
        await self.request_password_reset(email=email, client=client)

    async def reset_password(self, *, token: str, password: str, client: Client, idempotency_key: str) -> None:
        if token != "good":
            raise Invalid.field("token", "token_invalid", "This link is not valid any more; ask for a new one.")
        if len(password) < 8:
            raise Invalid.field("password", "too_short", "A password has 8 characters or more.")

    async def sessions(self, viewer: Viewer) -> Sequence[SessionCard]:
        return (
            SessionCard(
                viewer.session_id, "Firefox on Linux", "password", "totp", "192.0.2.7", NOW,
                NOW - timedelta(minutes=2), True,
            ),
            SessionCard(
                sample_id("session", 9), "Safari on iPhone", "magic_link", None, "2001:db8:85a3::8a2e:370:7334",
                NOW - timedelta(days=12), NOW - timedelta(hours=3), False,
            ),
        )[: 1 if self.empty else 2]  # fmt: skip

    async def revoke_sessions(self, viewer: Viewer, session_id: str | None) -> None:
        if not self.fresh:
            raise Denied("Sign in again first.", code="fresh_sign_in_required")
        self.revoked.append(session_id)

    async def tenants(self, viewer: Viewer) -> Sequence[TenantCard]:
        if self.empty:
            return ()
        return (
            TenantCard(TENANT, "Analytical Engines", self.status, self.role, "Team", 3, NOW - timedelta(days=40)),
            TenantCard(OTHER_TENANT, "Difference Lab", "active", "member", None, 1, NOW - timedelta(days=2)),
        )

    async def create_tenant(self, viewer: Viewer, *, name: str, idempotency_key: str) -> str:
        if name.lower() == "taken":
            raise Conflict.field("name", "taken", "A tenant of yours has this name already.")
        self.created.append(name)
        return TENANT

    async def tenant(self, viewer: Viewer, tenant_id: str) -> TenantView:
        if tenant_id not in (TENANT, OTHER_TENANT):
            raise NotFound("There is no such tenant, or you are not a member of it.")
        return TenantView(
            id=tenant_id,
            name="Analytical Engines",
            slug="analytical-engines",
            status=self.status,
            role=self.role,
            created_at=NOW - timedelta(days=40),
            members=_MEMBERS[:1] if self.empty else _MEMBERS,
            invitations=()
            if self.empty
            else (
                InvitationRow(INVITATION, "mary@example.com", "member", NOW + timedelta(days=7)),
                InvitationRow(
                    sample_id("invitation", 2), "annabella@example.com", "viewer", NOW - timedelta(days=1), expired=True
                ),
            ),
            subscription=None if self.empty else self.subscription,
            clock_at=self.clock_at,
            suspension_reason="Three invoices are unpaid." if self.status == "suspended" else None,
            purge_at=NOW + timedelta(days=30) if self.status == "deleting" else None,
            seats=self.seats,
        )

    async def invite_member(
        self, viewer: Viewer, tenant_id: str, *, email: str, role: TenantRole, idempotency_key: str
    ) -> None:
        if email == ADA.email:
            raise Conflict.field("email", "already_member", "This person is a member already.")

    async def accept_invitation(self, viewer: Viewer, *, token: str, idempotency_key: str) -> str:
        if token != "good":
            raise NotFound("This invitation has been used, was taken back or is too old.")
        return TENANT

    async def billing(self, viewer: Viewer, tenant_id: str, cursor: str | None = None) -> BillingView:
        if cursor not in (None, "older"):
            raise Invalid.field("cursor", "bad_cursor", "The cursor is not one that this list gave out.")
        return BillingView(
            tenant_id=tenant_id,
            tenant_name="Analytical Engines",
            role=self.role,
            plans=PLANS,
            subscription=None if self.empty else self.subscription,
            card=None if self.empty else Card("visa", "4242", 4, 2030),
            invoices=() if self.empty else INVOICES,
            next_cursor=None if self.empty or cursor else "older",
            sandbox=True,
            clock_at=self.clock_at,
        )

    async def subscribe(
        self, viewer: Viewer, tenant_id: str, *, price_id: str, payment_method: str, idempotency_key: str
    ) -> None:
        if payment_method != "pm_ok":
            raise Invalid.field("payment_method", "declined", "The card was declined. Try another one.")

    async def change_card(self, viewer: Viewer, tenant_id: str, *, payment_method: str, idempotency_key: str) -> None:
        if payment_method != "pm_ok":
            raise Invalid.field("payment_method", "declined", "The card was declined. Try another one.")

    async def cancel_subscription(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        return None

    async def invoice_pdf(self, viewer: Viewer, tenant_id: str, invoice_id: str) -> InvoicePdf:
        return InvoicePdf("PN-2026-0014.pdf", b"%PDF-1.7 sample")


@dataclass
class SampleTenancy:
    """Grace and Charles can be managed; Ada is the only owner while `only_owner` says so."""

    only_owner: bool = True
    role: TenantRole = "owner"
    refusal: ProgError | None = None
    status: TenantStatus = "active"
    done: list[tuple[str, str]] = field(default_factory=list)

    async def member(self, viewer: Viewer, tenant_id: str, user_id: str) -> MemberView:
        found = next((member for member in _MEMBERS if member.user_id == user_id), None)
        if found is None:
            raise NotFound("This person is no member of the tenant.")
        only = self.only_owner and found.role == "owner"
        return MemberView(tenant_id, "Analytical Engines", self.role, found, only_owner=only)

    async def change_role(
        self, viewer: Viewer, tenant_id: str, user_id: str, *, role: TenantRole, idempotency_key: str
    ) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.done.append((f"role {role}", user_id))

    async def remove_member(self, viewer: Viewer, tenant_id: str, user_id: str, *, idempotency_key: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(("remove", user_id))

    async def resend_invitation(
        self, viewer: Viewer, tenant_id: str, invitation_id: str, *, idempotency_key: str
    ) -> str:
        self.done.append(("resend", invitation_id))
        return "mary@example.com"

    async def revoke_invitation(
        self, viewer: Viewer, tenant_id: str, invitation_id: str, *, idempotency_key: str
    ) -> str:
        self.done.append(("revoke", invitation_id))
        return "mary@example.com"

    async def rename_tenant(self, viewer: Viewer, tenant_id: str, *, name: str, idempotency_key: str) -> None:
        if not name:
            raise Invalid.field("name", "required", "A tenant has a name.")
        self.done.append((f"rename {name}", tenant_id))

    async def delete_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> datetime:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(("delete", tenant_id))
        return NOW + timedelta(days=30)

    async def restore_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        self.done.append(("restore", tenant_id))

    async def facts(self, viewer: Viewer, tenant_id: str) -> TenantFacts:
        suspended = self.status == "suspended"
        return TenantFacts(
            id=tenant_id,
            name="Analytical Engines",
            slug="analytical-engines",
            status=self.status,
            plan="Team",
            created_at=NOW - timedelta(days=40),
            members=_MEMBERS,
            exports=(READY, EXPIRED, FAILED),
            suspension_reason="Three invoices are unpaid." if suspended else None,
            purge_at=NOW + timedelta(days=30) if self.status == "deleting" else None,
        )

    async def suspend_tenant(self, viewer: Viewer, tenant_id: str, *, reason: str, idempotency_key: str) -> None:
        if not reason:
            raise Invalid.field("reason", "required", "Say why, in 500 characters at most.")
        self.done.append((f"suspend {reason}", tenant_id))

    async def resume_tenant(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        self.done.append(("resume", tenant_id))


_LINK = "http://127.0.0.1:8000/account/verify?token=good"
_HTML = f"""<html><head><title>m</title></head><body style="margin:0;background:#f6f6f4;font-family:sans-serif">
<table width="100%"><tr><td align="center" style="padding:48px">
<table width="480" style="background:#fff;border-radius:12px;padding:32px"><tr><td>
<h1 style="font-size:20px">One more click</h1><p>Confirm that this address is yours.</p>
<p><a href="{_LINK}" style="background:#1a1b1f;color:#fff;padding:12px 18px;border-radius:8px">Verify my address</a></p>
</td></tr></table></td></tr></table></body></html>"""


@dataclass
class SampleMailbox:
    empty: bool = False

    async def mails(self, query: ListQuery) -> Page[MailRow]:
        if self.empty or query.search == "nothing":
            return Page(())
        subjects = (
            ("mail_1", "ada@example.com", "Verify your address", "Confirm that this address is yours", 1),
            (
                "mail_2",
                "mary@example.com",
                "Ada Lovelace invites you to Analytical Engines",
                "You are invited as a member",
                9,
            ),
            ("mail_3", "ada@example.com", "Receipt for invoice PN-2026-0013", "We have received $49.00", 80),
        )
        return Page(
            [
                MailRow(key, to, subject, text, NOW - timedelta(minutes=minutes))
                for key, to, subject, text, minutes in subjects
            ],
            next_cursor="older",
        )

    async def mail(self, mail_id: str) -> MailView:
        if mail_id == "mail_404":
            raise NotFound("There is no such mail.")
        return MailView(
            id=mail_id,
            sender="ProgNetwork <no-reply@prognetwork.local>",
            to="ada@example.com",
            subject="Verify your address",
            text=f"One more click\n\nConfirm that this address is yours:\n{_LINK}\n",
            html=None if mail_id == "mail_text" else _HTML,
            received_at=NOW - timedelta(minutes=1),
            size_bytes=4210,
            story_id=sample_id("mail", 1),
        )


def sample_services(
    *,
    account: SampleAccount | None = None,
    tenancy: SampleTenancy | None = None,
    api_keys: SampleKeys | None = None,
    directories: SampleDirectory | None = None,
    admin: SampleAdmin | None = None,
    mailbox: SampleMailbox | None = None,
    security: SampleSecurity | None = None,
    identities: SampleIdentities | None = None,
    handover: SampleHandover | None = None,
    provider: SampleProvider | None = None,
    clients: SampleClients | None = None,
    sign_on: SampleSignOn | None = None,
    custom_domains: SampleCustomDomains | None = None,
    exports: SampleExports | None = None,
    trail: SampleTrail | None = None,
    impersonations: SampleImpersonations | None = None,
) -> WebServices:
    return WebServices(
        site=SampleSite(),
        account=account or SampleAccount(),
        tenancy=tenancy or SampleTenancy(),
        api_keys=api_keys or SampleKeys(),
        directories=directories or SampleDirectory(),
        admin=admin or SampleAdmin(),
        analytics=SampleAnalytics(),
        sessions=SampleSessions(),
        security=security or SampleSecurity(FACTOR, kept=list(PASSKEYS)),
        identities=identities or SampleIdentities(),
        handover=handover or SampleHandover(),
        provider=provider or SampleProvider(),
        clients=clients or SampleClients(),
        sign_on=sign_on or SampleSignOn(),
        custom_domains=custom_domains or SampleCustomDomains(),
        exports=exports or SampleExports(),
        trail=trail or SampleTrail(),
        impersonations=impersonations or SampleImpersonations(),
        configuration=SampleConfiguration(),
        profile=SampleProfile(),
        branding=SampleBranding(),
        signing_key=b"k" * 32,
        public_url="http://127.0.0.1:8000",
        mailbox=mailbox or SampleMailbox(),
    )


def sample_services_in(state: str) -> WebServices:
    """The platform in a state worth looking at: `full`, `empty` (a first run) or `past-due`."""
    if state == "empty":
        return sample_services(
            account=SampleAccount(empty=True),
            api_keys=SampleKeys(empty=True),
            directories=SampleDirectory(empty=True),
            admin=SampleAdmin(empty=True),
            mailbox=SampleMailbox(empty=True),
            security=SampleSecurity(),
            identities=SampleIdentities(linked=False),
            provider=SampleProvider(empty=True),
            clients=SampleClients(empty=True),
            sign_on=SampleSignOn(configured=False),
            custom_domains=SampleCustomDomains(some=False),
            exports=SampleExports(()),
            trail=SampleTrail(empty=True),
            impersonations=SampleImpersonations(empty=True),
        )
    if state == "past-due":
        late = SampleAccount(subscription=PAST_DUE, clock_at=NOW + timedelta(days=31))
        return sample_services(account=late)
    if state == "branded":
        return replace(sample_services(), branding=SampleBranding(branded=TENANT))
    return sample_services()
