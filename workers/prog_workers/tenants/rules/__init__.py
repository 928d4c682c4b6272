"""Decisions of the tenants domain: values and an instant in, values out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TypeAlias, get_args

from prog_contracts import quotas
from prog_contracts.actors import impersonator_of, key_of
from prog_contracts.directory import DefaultRole, MappedRole
from prog_contracts.errors import FieldError, Invalid, ProgError
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.inputs import normalize_email
from prog_contracts.payments import SubscriptionStatus
from prog_contracts.permissions import IMPERSONATED, SCOPES, Action, allowed, may_grant, may_manage
from prog_contracts.sign_on import DNS_LABEL, DNS_VALUE
from prog_contracts.tenants import TenantRole, TenantStatus
from prog_contracts.users import PlatformRole
from prog_workers.tenants import errors

DELETION_GRACE: Final = timedelta(days=30)
"""How long a tenant that is to be deleted can be restored, on its own clock."""
REASON_MAX_LENGTH: Final = 500
DELETED_NAME: Final = "Deleted tenant"
FORGOTTEN_NAME: Final = "Somebody who left"
"""Who has sent an invitation, once their account is deleted."""
TENANT_NAME_MAX_LENGTH: Final = 80
SLUG_MAX_LENGTH: Final = 40
INVITATION_MAILS_A_DAY: Final = 5
"""So many invitations a tenant mails to one address within a day, sent again or made anew."""
ADVANCE_MAX: Final = timedelta(days=3660)
CLOCK_EARLIEST: Final = datetime(2000, 1, 1, tzinfo=UTC)
CLOCK_LATEST: Final = datetime(2100, 1, 1, tzinfo=UTC)

DIRECTORY_ROLES: Final[tuple[MappedRole, ...]] = get_args(MappedRole)
"""Where groups give somebody several roles, the first of these counts."""

Step = Literal["configuration", "limits", "activation"]
STEPS: Final[tuple[Step, ...]] = ("configuration", "limits", "activation")
"""What provisioning a tenant takes, in this order. A step may be added anywhere: it is taken by those who lack it."""

Scopes: TypeAlias = Collection[Action] | None
"""What bounds somebody besides their role; None is nothing."""


def slug(name: str, tenant_id: str, suffix_length: int = 6) -> str:
    """A readable name for addresses: `acme-ltd-0x4k2m`.

    The suffix is the random end of the tenant's id, so that two tenants of one name need not wait for each other to
    find out who was first.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain)[:SLUG_MAX_LENGTH].strip("-")
    return f"{words or 'tenant'}-{tenant_id[-suffix_length:]}"


def effective_role(member: TenantRole | None, staff: PlatformRole | None) -> TenantRole | None:
    """The role in which somebody acts in a tenant: operators of the platform act as owners, support may look."""
    if staff == "operator":
        return "owner"
    return member or ("viewer" if staff == "support" else None)


def remaining(done: Collection[str]) -> list[Step]:
    """The provisioning steps that are not done yet, in order."""
    return [step for step in STEPS if step not in done]


def suspension_refusal(tenant_id: str, status: TenantStatus) -> ProgError | None:
    if tenant_id == PLATFORM_TENANT_ID:
        return errors.platform_tenant()
    return None if status == "active" else errors.wrong_status("suspended", status)


def resumption_refusal(status: TenantStatus) -> ProgError | None:
    return None if status == "suspended" else errors.wrong_status("resumed", status)


def deletion_refusal(tenant_id: str, status: TenantStatus) -> ProgError | None:
    """A tenant that is still being provisioned is not deleted under the hands of those who make it."""
    if tenant_id == PLATFORM_TENANT_ID:
        return errors.platform_tenant()
    return None if status in ("active", "suspended") else errors.wrong_status("deleted", status)


def restoration_refusal(status: TenantStatus) -> ProgError | None:
    return None if status == "deleting" else errors.wrong_status("restored", status)


def is_to_be_purged(status: TenantStatus, purge_at: datetime | None, now: datetime) -> bool | None:
    """Whether the grace period is over; None for a tenant that is not to be deleted, or not any more."""
    return None if status != "deleting" or purge_at is None else now >= purge_at


@dataclass(frozen=True, slots=True)
class Seats:
    """Who fills the tenant's seats. `limit` None is without limit."""

    members: int
    invited: int
    limit: int | None

    @property
    def taken(self) -> int:
        return self.members + self.invited


def is_full(seats: Seats) -> bool:
    return quotas.refusal("members", seats.limit, seats.taken) is not None


def scopes_of(actor: str | None) -> Scopes:
    """Within which scopes somebody acts here; None is without bounds.

    The edge knows which scopes an API key has, and refuses what is beyond them. Here a key is kept from what none may,
    and an operator in somebody's name from what nobody may in such a one.
    """
    if impersonator_of(actor) is not None:
        return IMPERSONATED
    return None if key_of(actor) is None else SCOPES


def invitation_refusal(
    inviter: TenantRole | None,
    role: TenantRole,
    *,
    is_member: bool,
    seats: Seats,
    scopes: Scopes = None,
) -> ProgError | None:
    """Why somebody with the role `inviter` may not invite for `role`, or None. `seats` leave this invitation out."""
    if inviter is None or not may_grant(inviter, "viewer", scopes):
        return errors.not_permitted()
    if not may_grant(inviter, role, scopes):
        return errors.role_too_high()
    if is_member:
        return errors.already_member()
    return quotas.refusal("members", seats.limit, seats.taken)


def acceptance_refusal(invited: str, expires_at: datetime, accepting: str, now: datetime) -> ProgError | None:
    """Why the holder of the address `accepting` may not accept an open invitation, or None."""
    if accepting != invited:
        return errors.invitation_for_another()
    if now >= expires_at:
        return errors.invitation_expired()
    return None


def revocation_refusal(revoker: TenantRole | None, role: TenantRole, scopes: Scopes = None) -> ProgError | None:
    """Why somebody with the role `revoker` may not take back an invitation for `role`, or None."""
    if not allowed(revoker, "member.invite", scopes):
        return errors.not_permitted()
    return None if may_grant(revoker, role, scopes) else errors.role_too_high()


def role_change_refusal(
    manager: TenantRole | None, before: TenantRole, after: TenantRole, *, owners: int, scopes: Scopes = None
) -> ProgError | None:
    """Why somebody with the role `manager` may not give a member the role `after`, or None. Nobody is an exception
    for themselves: who lowers their own rights does so, and who is the only owner stays it."""
    if not allowed(manager, "member.manage", scopes):
        return errors.not_permitted()
    if not may_manage(manager, before, scopes):
        return errors.rights_too_high()
    if not may_grant(manager, after, scopes):
        return errors.role_too_high()
    return errors.last_owner() if before == "owner" and after != "owner" and owners <= 1 else None


def removal_refusal(
    manager: TenantRole | None, member: TenantRole, *, leaving: bool, owners: int, scopes: Scopes = None
) -> ProgError | None:
    """Why a member may not be removed by somebody with the role `manager`, or may not leave, or None."""
    if not leaving and not allowed(manager, "member.manage", scopes):
        return errors.not_permitted()
    if not leaving and not may_manage(manager, member, scopes):
        return errors.rights_too_high()
    return errors.last_owner() if member == "owner" and owners <= 1 else None


def is_needed(role: TenantRole, status: TenantStatus, *, owners: int) -> bool:
    """Whether a member cannot go because the tenant would have no owner; one that is being deleted needs none."""
    return role == "owner" and owners <= 1 and status not in ("deleting", "deleted")


def mapping_refusal(mapper: TenantRole | None, role: TenantRole | None) -> ProgError | None:
    """Why somebody with the role `mapper` may not have a group give `role`, or None: they could not give it either."""
    return None if role is None or may_grant(mapper, role) else errors.role_too_high()


def directory_role(given: Collection[str], default: DefaultRole) -> MappedRole:
    """The role of somebody whose groups give these."""
    return next((role for role in DIRECTORY_ROLES if role in given), default)


def checked_start(at: datetime) -> datetime:
    """Where a test clock may start, in UTC. Raises Invalid."""
    if at.tzinfo is None:
        raise Invalid.field("at", "no_offset", "Give the instant with its offset, such as 2027-01-31T00:00:00Z.")
    if not CLOCK_EARLIEST <= at <= CLOCK_LATEST:
        raise Invalid.field("at", "out_of_range", "A test clock stands between the years 2000 and 2100.")
    return at.astimezone(UTC)


def checked_advance(stands_at: datetime, to: datetime) -> datetime:
    """Where a test clock may be moved, in UTC: forward only, and not without end. Raises Invalid."""
    if to.tzinfo is None:
        raise Invalid.field("to", "no_offset", "Give the instant with its offset, such as 2027-01-31T00:00:00Z.")
    if to < stands_at:
        raise Invalid.field("to", "backwards", f"The clock stands at {stands_at.isoformat()} and only moves forward.")
    if to - stands_at > ADVANCE_MAX or to > CLOCK_LATEST:
        raise Invalid.field("to", "too_far", "A clock moves ten years at a time at most, and not beyond 2100.")
    return to.astimezone(UTC)


def grants_plan(status: SubscriptionStatus) -> bool | None:
    """Whether a subscription in this state gives its plan; None where it decides nothing yet."""
    if status in ("trialing", "active", "past_due"):
        return True
    return None if status == "incomplete" else False


# -- sign-on -----------------------------------------------------------------------------------------------------------

DOMAINS_MAX: Final = 20
ISSUER_MAX_LENGTH: Final = 500
CLIENT_ID_MAX_LENGTH: Final = 500
_ISSUER: Final = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?")


def checked_provider(issuer: str, client_id: str) -> tuple[str, str]:
    """Issuer and client id as they are kept. Raises Invalid with all that is wrong."""
    problems = []
    issuer, client_id = issuer.strip(), client_id.strip()
    if len(issuer) > ISSUER_MAX_LENGTH or not _ISSUER.fullmatch(issuer):
        message = "Enter the issuer as your provider shows it, such as https://id.example.com."
        problems.append(FieldError(field="issuer", code="invalid_issuer", message=message))
    if not 0 < len(client_id) <= CLIENT_ID_MAX_LENGTH:
        message = "Enter the client id that your provider gave you."
        problems.append(FieldError(field="client_id", code="required", message=message))
    if problems:
        raise Invalid(problems[0].message, fields=problems)
    return issuer, client_id


def checked_domain(text: str) -> str:
    """A domain of addresses in the one spelling that addresses have it in. Raises Invalid."""
    try:
        return normalize_email(f"x@{text.strip().rstrip('.')}").partition("@")[2]
    except Invalid:
        raise Invalid.field("domain", "invalid_domain", "Enter a domain such as example.com.") from None


def dns_name(domain: str, label: str = DNS_LABEL) -> str:
    """Where the record of a domain is looked for."""
    return f"{label}.{domain}"


def dns_text(token: str) -> str:
    """What the record has to say."""
    return f"{DNS_VALUE}{token}"


PROOF_GRACE: Final = timedelta(days=7)
"""How long the record of something proven may be gone: whoever moves their DNS does not lose it by that."""


def is_lost(there: bool | None, missing_for: timedelta | None) -> bool:
    """Whether what was proven is proven no more, by a look that found its record or not; None is no answer, which takes
    nothing away. `missing_for` is how long it has been gone before."""
    return there is False and missing_for is not None and missing_for >= PROOF_GRACE
