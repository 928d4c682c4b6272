"""Messages of the tenants domain about custom domains: host names of a tenant's own, at which its account pages answer.

A tenant proves a name by a DNS record, and points it at the platform. These are other names than the domains of
addresses that a tenant's provider speaks for (`sign_on`): neither proves the other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from prog_contracts.ids import TenantId
from prog_contracts.messages import Command, Event, command, event

CustomDomainStatus = Literal["pending", "proven", "active", "lost"]
"""`pending` is claimed; `proven` has its record, so pages answer there once it leads here; `active` does, so that links
in mails lead there; `lost` was proven, and its record has been gone for a week."""

CustomDomainProblem = Literal[
    "no_such_name",
    "record_missing",
    "record_different",
    "timed_out",
    "server_failed",
    "proven_elsewhere",
    "points_nowhere",
    "points_elsewhere",
]
"""What the last look at a domain's DNS found wrong. The last two are about where the name itself leads."""

RECORD_LABEL = "_prognetwork-host"


@command("prognetwork.tenants.claim_custom_domain", key="tenant_id")
class ClaimCustomDomain(Command):
    """Name a host, and get the record to publish in its DNS. Claimed twice, it stays as it was."""

    tenant_id: TenantId
    domain_name: str


@command("prognetwork.tenants.check_custom_domain", key="tenant_id")
class CheckCustomDomain(Command):
    """Look for the record of a claimed domain, and where its name leads."""

    tenant_id: TenantId
    domain_name: str


@command("prognetwork.tenants.recheck_custom_domain", key="tenant_id")
class RecheckCustomDomain(Command):
    """Look again at a domain that was proven. Its record gone for a week, it is lost."""

    tenant_id: TenantId
    domain_name: str


@command("prognetwork.tenants.release_custom_domain", key="tenant_id")
class ReleaseCustomDomain(Command):
    tenant_id: TenantId
    domain_name: str


@event("prognetwork.tenants.custom_domain_claimed", key="tenant_id")
class CustomDomainClaimed(Event):
    """`record` is the name of the TXT record and `value` what it says; `target` is where the name is to lead."""

    tenant_id: TenantId
    domain_name: str
    record: str
    value: str
    target: str
    claimed_at: datetime


@event("prognetwork.tenants.custom_domain_changed", key="tenant_id")
class CustomDomainChanged(Event):
    """What became of a domain. `serves` are all the tenant's that are proven now, `mail_domain` the one to which links
    in its mails lead: None is the platform's own address."""

    tenant_id: TenantId
    domain_name: str
    change: Literal["proven", "activated", "misdirected", "lost", "released"]
    serves: tuple[str, ...] = ()
    mail_domain: str | None = None


@event("prognetwork.tenants.custom_domain_check_failed", key="tenant_id")
class CustomDomainCheckFailed(Event):
    """A look that did not find what it has to; `seen` is what was found instead."""

    tenant_id: TenantId
    domain_name: str
    reason: CustomDomainProblem
    seen: tuple[str, ...] = ()
