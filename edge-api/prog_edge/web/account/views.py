"""The account's page contexts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar, Final, get_args

from prog_contracts.permissions import allowed, may_grant, may_manage, possible
from prog_contracts.sign_on import SignOnRole
from prog_contracts.tenants import TenantRole
from prog_edge.web.ports import (
    ApiKeyCard,
    ApiKeysView,
    BillingView,
    DirectoryView,
    MadeKey,
    MemberView,
    PasskeyAsked,
    PasskeyOffer,
    Plan,
    ProviderCard,
    TenantCard,
    TenantView,
    ToProve,
    Viewer,
    WayBack,
)
from prog_edge.web.ports.sign_on import SignOnView
from prog_edge.web.ui.forms import FormState
from prog_edge.web.ui.pages import FormPage, MailedPage, TokenPage

SANDBOX_CARDS: Final = (
    ("pm_ok", "Visa •••• 4242, is charged"),
    ("pm_declined", "Visa •••• 0002, is declined"),
    ("pm_insufficient_funds", "Visa •••• 9995, has no funds"),
    ("pm_expired", "Visa •••• 0069, is expired"),
    ("pm_lost", "Visa •••• 9987, was reported lost"),
    ("pm_timeout", "Visa •••• 0119, answers too late"),
    ("pm_requires_action", "Visa •••• 3155, asks its owner"),
    ("pm_fails_after_1", "Visa •••• 0341, fails after one charge"),
)
"""Tokens of the sandbox gateway, with what they do."""

FAILURES: Final = {
    "declined": "The card was declined.",
    "insufficient_funds": "The card has insufficient funds.",
    "expired_card": "The card has expired.",
    "lost_card": "The card was reported lost.",
    "requires_action": "The bank asks the card's owner to confirm.",
    "gateway_error": "The payment provider did not answer.",
}

ROLES: Final[tuple[tuple[TenantRole, str], ...]] = (
    ("member", "Member: works in the tenant"),
    ("viewer", "Viewer: looks only"),
    ("billing", "Billing: plan, card and invoices"),
    ("admin", "Admin: people and settings too"),
    ("owner", "Owner: everything"),
)
MANAGES_PEOPLE: Final = frozenset({"owner", "admin"})
MANAGES_BILLING: Final = frozenset({"owner", "admin", "billing"})


@dataclass(frozen=True, slots=True)
class SignUpPage:
    template: ClassVar[str] = "account/sign_up.html"
    form: FormState
    providers: Sequence[ProviderCard] = ()
    invitation: str | None = None
    """With which somebody signs up at a tenant's own host."""
    next_address: str = "/account"


class CheckYourMailPage(FormPage):
    template: ClassVar[str] = "account/check_your_mail.html"


class VerifyPage(TokenPage):
    template: ClassVar[str] = "account/verify.html"


class ForgotPasswordPage(MailedPage):
    template: ClassVar[str] = "account/forgot_password.html"


class ResetPasswordPage(TokenPage):
    template: ClassVar[str] = "account/reset_password.html"


class SignInLinkPage(MailedPage):
    template: ClassVar[str] = "account/sign_in_link.html"


class OpenSignInLinkPage(TokenPage):
    template: ClassVar[str] = "account/open_sign_in_link.html"


@dataclass(frozen=True, slots=True)
class SignInPage:
    template: ClassVar[str] = "account/sign_in.html"
    form: FormState
    next_address: str
    offer: PasskeyOffer | None
    unverified: bool = False
    providers: Sequence[ProviderCard] = ()
    comes_back: bool = True
    """Other providers, and passkeys that are asked elsewhere, lead back to this host."""


@dataclass(frozen=True, slots=True)
class PasskeyForHostPage:
    """Asks a passkey for a tenant's own host; `name` is what the tenant calls itself there."""

    template: ClassVar[str] = "account/passkey_for_host.html"
    asked: PasskeyAsked
    name: str
    form: FormState
    query: str


@dataclass(frozen=True, slots=True)
class HandOnPage:
    """Says to which tenant's host a sign-in goes on. Nobody gets there by following a link alone."""

    template: ClassVar[str] = "account/hand_on.html"
    back: WayBack
    name: str


@dataclass(frozen=True, slots=True)
class OrganisationPage:
    """Asks for an address, and shows where it signs on once that is `found`."""

    template: ClassVar[str] = "account/organisation.html"
    form: FormState
    next_address: str
    found: ProviderCard | None = None
    email: str = ""


@dataclass(frozen=True, slots=True)
class SignOnPage:
    """`provider` is the form of the tenant's provider, `domain` that of its domains."""

    template: ClassVar[str] = "account/sign_on.html"
    view: SignOnView
    provider: FormState
    domain: FormState
    section: str = "sign-on"
    issuer_example: str = "https://id.acme.com"
    roles: Sequence[tuple[str, str]] = tuple(each for each in ROLES if each[0] in get_args(SignOnRole))


@dataclass(frozen=True, slots=True)
class ProveAccountPage:
    """For an identity whose address has an account: its person proves that before the two are linked."""

    template: ClassVar[str] = "account/prove_account.html"
    waiting: ToProve
    form: FormState


class AcceptInvitationPage(TokenPage):
    template: ClassVar[str] = "account/accept_invitation.html"


@dataclass(frozen=True, slots=True)
class HomePage:
    template: ClassVar[str] = "account/home.html"
    tenants: Sequence[TenantCard]
    form: FormState


@dataclass(frozen=True, slots=True)
class TenantPage:
    template: ClassVar[str] = "account/tenant.html"
    tenant: TenantView
    invite: FormState
    manages_people: bool
    sees_billing: bool
    section: str = "overview"
    roles: Sequence[tuple[str, str]] = ROLES
    manageable: frozenset[str] = frozenset()
    """The ids of members about whom the viewer can do something: manage them, or leave."""
    renewals: Mapping[str, FormState] = field(default_factory=dict)
    """A form for each invitation that the viewer may send again or take back, by its id."""
    may_delete: bool = False
    may_rename: bool = False
    naming: FormState = field(default_factory=FormState)
    may_export: bool = False
    restore: FormState = field(default_factory=FormState)


def tenant_page(tenant: TenantView, viewer: Viewer, invite: FormState, naming: FormState | None = None) -> TenantPage:
    """What the tenant's status does not let anybody do has no button, nor what nobody does in somebody's name."""
    own = viewer.acting is None
    manages = own and tenant.role in MANAGES_PEOPLE and possible(tenant.status, "member.manage")
    return TenantPage(
        tenant=tenant,
        invite=invite,
        roles=[(name, text) for name, text in ROLES if may_grant(tenant.role, name)],
        manages_people=manages,
        sees_billing=allowed(tenant.role, "billing.read"),
        manageable=frozenset(
            member.user_id
            for member in tenant.members
            if own and (member.user_id == viewer.user_id or (manages and may_manage(tenant.role, member.role)))
        ),
        renewals={item.id: FormState() for item in tenant.invitations if manages and may_grant(tenant.role, item.role)},
        may_delete=own and allowed(tenant.role, "tenant.delete"),
        may_rename=own and allowed(tenant.role, "tenant.update") and possible(tenant.status, "tenant.update"),
        naming=naming or FormState(),
        may_export=own and allowed(tenant.role, "tenant.export"),
    )


@dataclass(frozen=True, slots=True)
class DeleteTenantPage:
    template: ClassVar[str] = "account/delete_tenant.html"
    tenant: TenantView
    form: FormState
    section: str = "overview"


@dataclass(frozen=True, slots=True)
class MemberPage:
    """One member. `own` is the viewer's own membership; `roles` are those that the viewer may give."""

    template: ClassVar[str] = "account/member.html"
    view: MemberView
    own: bool
    manages: bool
    roles: Sequence[tuple[str, str]]
    change: FormState
    removal: FormState
    manages_keys: bool = False
    sees_billing: bool = False
    section: str = "overview"


def member_page(
    view: MemberView, viewer: Viewer, *, change: FormState | None = None, removal: FormState | None = None
) -> MemberPage:
    return MemberPage(
        view=view,
        own=view.member.user_id == viewer.user_id,
        manages=may_manage(view.viewer_role, view.member.role),
        roles=[(name, text) for name, text in ROLES if may_grant(view.viewer_role, name)],
        change=change or FormState(),
        removal=removal or FormState(),
        manages_keys=view.viewer_role in MANAGES_PEOPLE,
        sees_billing=allowed(view.viewer_role, "billing.read"),
    )


SCOPE_TEXTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "tenant.read": "See the tenant",
        "tenant.update": "Rename the tenant",
        "config.read": "See the settings",
        "config.update": "Change the settings",
        "member.read": "See the people",
        "member.invite": "Invite people",
        "member.manage": "Change roles and remove people",
        "billing.read": "See plan, card and invoices",
        "billing.manage": "Choose plans, change the card, pay",
        "clock.move": "Move the test clock",
        "event.read": "Read events",
        "event.publish": "Publish events",
        "audit.read": "Read the audit trail",
        "scim.manage": "Run the directory over SCIM",
    }
)
"""What each scope lets a program do, for the people who choose."""
LIFETIMES: Final = (("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"), ("0", "Never"))
"""How long a new API key lives, in days."""
GRACES: Final = (("0", "At once"), ("1", "In an hour"), ("24", "In a day"), ("168", "In a week"))
"""How long an API key that is rolled is good for yet, in hours."""


@dataclass(frozen=True, slots=True)
class ApiKeysPage:
    template: ClassVar[str] = "account/keys.html"
    view: ApiKeysView
    form: FormState
    lifetimes: Sequence[tuple[str, str]] = LIFETIMES
    scope_texts: Mapping[str, str] = field(default_factory=lambda: SCOPE_TEXTS)
    section: str = "keys"


@dataclass(frozen=True, slots=True)
class ApiKeyMadePage:
    """With `scim_url` it is a key for the directory, which is used there."""

    template: ClassVar[str] = "account/key_made.html"
    view: ApiKeysView
    made: MadeKey
    section: str = "keys"
    scim_url: str | None = None


@dataclass(frozen=True, slots=True)
class ApiKeyPage:
    template: ClassVar[str] = "account/key.html"
    view: ApiKeysView
    key: ApiKeyCard
    form: FormState
    graces: Sequence[tuple[str, str]] = GRACES
    section: str = "keys"


DEFAULT_ROLES: Final = tuple(each for each in ROLES if each[0] in ("member", "viewer"))
GROUP_ROLES: Final = (
    ("none", "No role"),
    ("viewer", "Viewer"),
    ("member", "Member"),
    ("billing", "Billing"),
    ("admin", "Admin"),
)


@dataclass(frozen=True, slots=True)
class DirectoryPage:
    """`making`, `default` and `mapping` (by group) are its forms; a group without one has `untouched`."""

    template: ClassVar[str] = "account/directory.html"
    view: DirectoryView
    making: FormState = field(default_factory=FormState)
    default: FormState = field(default_factory=FormState)
    mapping: Mapping[str, FormState] = field(default_factory=dict)
    untouched: FormState = field(default_factory=FormState)
    default_roles: Sequence[tuple[str, str]] = DEFAULT_ROLES
    group_roles: Sequence[tuple[str, str]] = GROUP_ROLES
    section: str = "directory"


@dataclass(frozen=True, slots=True)
class BillingPage:
    """`dunning_text` says why the last charge failed; `chosen` is the plan that the form begins with."""

    template: ClassVar[str] = "account/billing.html"
    billing: BillingView
    subscribe: FormState
    card: FormState
    chosen: str
    manages_billing: bool
    dunning_text: str | None
    current_plan: Plan | None
    settling: bool = False
    """A charge was just asked for: the page looks again until it is settled."""
    older: bool = False
    """These are not the last invoices."""
    section: str = "billing"
    cards: Sequence[tuple[str, str]] = field(default=SANDBOX_CARDS)


def billing_page(
    billing: BillingView,
    *,
    subscribe: FormState | None = None,
    card: FormState | None = None,
    chosen: str | None = None,
    settling: bool = False,
    older: bool = False,
) -> BillingPage:
    subscription = billing.subscription
    known = {plan.price_id: plan for plan in billing.plans}
    highlighted = [plan.price_id for plan in billing.plans if plan.highlighted]
    first = highlighted or list(known)
    dunning = subscription.dunning if subscription else None
    return BillingPage(
        billing=billing,
        subscribe=subscribe or FormState(),
        card=card or FormState(),
        chosen=chosen if chosen in known else first[0] if first else "",
        manages_billing=billing.role in MANAGES_BILLING,
        dunning_text=FAILURES.get(dunning.reason, "The last charge failed.") if dunning else None,
        current_plan=known.get(subscription.price_id) if subscription else None,
        settling=settling and subscription is not None and subscription.status in ("past_due", "unpaid"),
        older=older,
    )
