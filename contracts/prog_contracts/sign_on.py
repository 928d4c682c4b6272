"""Messages of the tenants domain about sign-on: a tenant's people sign in with the tenant's own OpenID provider.

A tenant proves the domains of its addresses by a DNS record; its provider speaks for addresses of these and no others.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from prog_contracts.ids import TenantId, UserId
from prog_contracts.messages import Command, Event, command, event

SignOnRole = Literal["viewer", "member", "billing"]
"""What a person may become in a tenant by signing on: nothing that manages the tenant."""

API_KEY_DAYS_MAX: Final = 365

DNS_LABEL = "_prognetwork"
DNS_VALUE = "prognetwork-verify="


@command("prognetwork.tenants.configure_sign_on", key="tenant_id")
class ConfigureSignOn(Command):
    """Say who the tenant's provider is. Without `sealed_client_secret` the one from before stays.

    With `enforced`, people with addresses of the tenant's domains get in by no other way, but for owners. Their API
    keys get in for `api_key_days` after they signed on last; None is for as long as they are members.
    """

    tenant_id: TenantId
    issuer: str
    client_id: str
    sealed_client_secret: str | None = None
    default_role: SignOnRole = "member"
    enforced: bool = False
    api_key_days: int | None = Field(None, ge=1, le=API_KEY_DAYS_MAX)


@command("prognetwork.tenants.remove_sign_on", key="tenant_id")
class RemoveSignOn(Command):
    tenant_id: TenantId


@command("prognetwork.tenants.claim_domain", key="tenant_id")
class ClaimDomain(Command):
    """Name a domain, and get the record to publish in its DNS. Claimed twice, it stays as it was."""

    tenant_id: TenantId
    domain_name: str


@command("prognetwork.tenants.check_domain", key="tenant_id")
class CheckDomain(Command):
    """Look for the record of a claimed domain: where it is found the domain is proven."""

    tenant_id: TenantId
    domain_name: str


@command("prognetwork.tenants.recheck_domains")
class RecheckDomains(Command):
    """Have proven domains looked up that were not for a day. The scheduler sends it."""


@command("prognetwork.tenants.recheck_domain", key="tenant_id")
class RecheckDomain(Command):
    """Look whether the record of a proven domain is still there. Gone for a week, the domain is proven no more."""

    tenant_id: TenantId
    domain_name: str


@command("prognetwork.tenants.release_domain", key="tenant_id")
class ReleaseDomain(Command):
    tenant_id: TenantId
    domain_name: str


@command("prognetwork.tenants.admit_signed_on", key="tenant_id", subject="user_id")
class AdmitSignedOn(Command):
    """Make a member of whoever signed on with the tenant's provider, with the role that the tenant chose for them.

    The users domain sends it after each such sign-in; a member stays as they are.
    """

    tenant_id: TenantId
    user_id: UserId
    email: str
    name: str


@event("prognetwork.tenants.sign_on_changed", key="tenant_id")
class SignOnChanged(Event):
    """How the tenant's people sign on from now on, whole: without an `issuer` there is no sign-on.

    `domains` are those that are proven; `owners` get in by other ways too, whatever is `enforced`. `proofs` has a
    number for each domain, higher than that of whichever tenant had proven it before: events of two tenants have no
    order.
    """

    tenant_id: TenantId
    change: Literal["configured", "removed", "domain_proven", "domain_released", "domain_lost", "owners_changed"]
    issuer: str | None = None
    client_id: str | None = None
    default_role: SignOnRole | None = None
    enforced: bool = False
    api_key_days: int | None = None
    domains: tuple[str, ...] = ()
    owners: tuple[UserId, ...] = ()
    proofs: dict[str, int] = Field(default_factory=dict)


@event("prognetwork.tenants.domain_claimed", key="tenant_id")
class DomainClaimed(Event):
    """`record` is the name of the DNS record, `value` the text that it is to have."""

    tenant_id: TenantId
    domain_name: str
    record: str
    value: str
    claimed_at: datetime


@event("prognetwork.tenants.domain_check_failed", key="tenant_id")
class DomainCheckFailed(Event):
    tenant_id: TenantId
    domain_name: str
    reason: Literal["record_missing", "unanswered", "proven_elsewhere"]


@event("prognetwork.tenants.sign_on_admission_refused", key="tenant_id", subject="user_id")
class SignOnAdmissionRefused(Event):
    """Somebody signed on who could be made no member."""

    tenant_id: TenantId
    user_id: UserId
    reason: Literal["member_limit", "tenant_closed", "no_sign_on", "deactivated"]
