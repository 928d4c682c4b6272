"""Messages of the tenants domain: customers of the platform, their members, plan, limits and clock."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from prog_contracts.ids import InvitationId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event
from prog_contracts.quotas import QuotaName

TenantRole = Literal["owner", "admin", "billing", "member", "viewer"]
TenantStatus = Literal["provisioning", "active", "suspended", "deleting", "deleted"]


@command("prognetwork.tenants.create_tenant", key="tenant_id")
class CreateTenant(Command):
    tenant_id: TenantId
    name: str
    owner_user_id: UserId
    owner_email: str
    owner_name: str


@command("prognetwork.tenants.provision_tenant", key="tenant_id")
class ProvisionTenant(Command):
    """Take the next provisioning steps; those that are done are skipped."""

    tenant_id: TenantId


@command("prognetwork.tenants.rename_tenant", key="tenant_id")
class RenameTenant(Command):
    tenant_id: TenantId
    name: str


@command("prognetwork.tenants.suspend_tenant", key="tenant_id")
class SuspendTenant(Command):
    """Operators alone. The tenant can be read and paid for; nothing else changes. The owners are told the reason."""

    tenant_id: TenantId
    reason: str


@command("prognetwork.tenants.resume_tenant", key="tenant_id")
class ResumeTenant(Command):
    tenant_id: TenantId


@command("prognetwork.tenants.delete_tenant", key="tenant_id")
class DeleteTenant(Command):
    """Begin the grace period; `PurgeTenant` comes at its end."""

    tenant_id: TenantId


@command("prognetwork.tenants.restore_tenant", key="tenant_id")
class RestoreTenant(Command):
    """Take a deletion back while its grace period lasts."""

    tenant_id: TenantId


@command("prognetwork.tenants.purge_tenant", key="tenant_id")
class PurgeTenant(Command):
    """A timer: the grace period is over. Does nothing before that, or for a tenant that is not to be deleted."""

    tenant_id: TenantId


@command("prognetwork.tenants.invite_member", key="tenant_id")
class InviteMember(Command):
    """The actor is the inviter; the role may not exceed the inviter's own."""

    invitation_id: InvitationId
    tenant_id: TenantId
    email: str
    role: TenantRole


@command("prognetwork.tenants.resend_invitation", key="tenant_id", subject="invitation_id")
class ResendInvitation(Command):
    """Mail a new link for an invitation that was not accepted, and let it run anew; the earlier link ends."""

    invitation_id: InvitationId
    tenant_id: TenantId


@command("prognetwork.tenants.revoke_invitation", key="tenant_id", subject="invitation_id")
class RevokeInvitation(Command):
    invitation_id: InvitationId
    tenant_id: TenantId


@command("prognetwork.tenants.accept_invitation", key="tenant_id")
class AcceptInvitation(Command):
    """Join with the token of an invitation mail; the user's verified address must be the invited one."""

    tenant_id: TenantId
    sealed_token: str
    user_id: UserId
    email: str
    name: str


@command("prognetwork.tenants.change_member_role", key="tenant_id", subject="user_id")
class ChangeMemberRole(Command):
    """The actor's own rights must cover both what the member may do and what they are to be able to do."""

    tenant_id: TenantId
    user_id: UserId
    role: TenantRole


@command("prognetwork.tenants.remove_member", key="tenant_id", subject="user_id")
class RemoveMember(Command):
    """Take somebody out of the tenant; a member who names themselves leaves it."""

    tenant_id: TenantId
    user_id: UserId


@command("prognetwork.tenants.set_clock", key="tenant_id")
class SetClock(Command):
    """Turn the tenant's clock into a test clock that stands at `at`."""

    tenant_id: TenantId
    at: datetime


@command("prognetwork.tenants.advance_clock", key="tenant_id")
class AdvanceClock(Command):
    """Move the test clock to `to`; the operation is done when all work that falls due on the way is done."""

    tenant_id: TenantId
    to: datetime


@command("prognetwork.tenants.finish_clock_advance", key="tenant_id")
class FinishClockAdvance(Command):
    """Sent by the scheduler when the clock has arrived; completes the waiting operation."""

    tenant_id: TenantId
    operation_id: str
    at: datetime
    fired_timers: int


@command("prognetwork.tenants.wrap_tenant_keys")
class WrapTenantKeys(Command):
    """Wrap the tenants' keys that an older one of PROG_SECRET_KEYS has wrapped under the newest: those behind this
    tenant and number."""

    after_tenant: str = ""
    after_number: int = 0


@command("prognetwork.tenants.seal_tenant_secrets")
class SealTenantSecrets(Command):
    """Seal what PROG_SECRET_KEYS have sealed for tenants with ids behind `after` under the tenants' own keys."""

    after: str = ""


@command("prognetwork.tenants.forget_old_invitations")
class ForgetOldInvitations(Command):
    """Delete invitations that were accepted, taken back or over before, whichever tenant's."""

    ended_before: datetime


@command("prognetwork.tenants.forget_old_logos")
class ForgetOldLogos(Command):
    """Delete pictures that no configuration of their tenant's has named since, whichever tenant's."""

    unused_since: datetime


@command("prognetwork.tenants.note_usage", key="tenant_id")
class NoteUsage(Command):
    """Somebody who counts has seen how much of a limit is used. At 80 and at 100 percent the owners are told, once for
    each `period` and limit."""

    tenant_id: TenantId
    quota: QuotaName
    used: int
    limit: int
    period: str = ""


@event("prognetwork.tenants.usage_warned", key="tenant_id")
class UsageWarned(Event):
    """The owners were told that a limit is nearly, or wholly, used up."""

    tenant_id: TenantId
    quota: QuotaName
    percent: Literal[80, 100]
    used: int
    limit: int


@event("prognetwork.tenants.tenant_created", key="tenant_id")
class TenantCreated(Event):
    tenant_id: TenantId
    name: str
    slug: str
    status: TenantStatus
    created_at: datetime
    owner_user_id: UserId
    owner_email: str
    owner_name: str


@event("prognetwork.tenants.tenant_updated", key="tenant_id")
class TenantUpdated(Event):
    tenant_id: TenantId
    name: str
    status: TenantStatus
    changed: tuple[str, ...] = ()
    owner_email: str | None = None
    owner_name: str | None = None


@event("prognetwork.tenants.tenant_suspended", key="tenant_id")
class TenantSuspended(Event):
    tenant_id: TenantId
    name: str
    reason: str


@event("prognetwork.tenants.tenant_resumed", key="tenant_id")
class TenantResumed(Event):
    tenant_id: TenantId
    name: str


@event("prognetwork.tenants.tenant_deletion_requested", key="tenant_id")
class TenantDeletionRequested(Event):
    """The tenant can be read until `purge_at`, on its own clock, and restored."""

    tenant_id: TenantId
    name: str
    purge_at: datetime


@event("prognetwork.tenants.tenant_restored", key="tenant_id")
class TenantRestored(Event):
    """Its deletion was taken back: it is `status` again, as before."""

    tenant_id: TenantId
    name: str
    status: TenantStatus


@event("prognetwork.tenants.tenant_deleted", key="tenant_id")
class TenantDeleted(Event):
    """The tenant is gone for good, and nobody gets in any more. Every domain deletes what it has of it, but for what
    the law has it keep."""

    tenant_id: TenantId


@event("prognetwork.tenants.billing_changed", key="tenant_id")
class BillingChanged(Event):
    """The plan, or a limit that follows from it, has changed."""

    tenant_id: TenantId
    plan: str | None = None
    reason: str


@event("prognetwork.tenants.member_invited", key="tenant_id", subject="invitation_id")
class MemberInvited(Event):
    invitation_id: InvitationId
    tenant_id: TenantId
    email: str
    role: TenantRole
    expires_at: datetime


@event("prognetwork.tenants.member_joined", key="tenant_id", subject="user_id")
class MemberJoined(Event):
    tenant_id: TenantId
    user_id: UserId
    email: str
    name: str
    role: TenantRole
    invitation_id: InvitationId | None = None


@event("prognetwork.tenants.invitation_resent", key="tenant_id", subject="invitation_id")
class InvitationResent(Event):
    """A new link was mailed; the earlier one does not work any more."""

    invitation_id: InvitationId
    tenant_id: TenantId
    email: str
    role: TenantRole
    expires_at: datetime


@event("prognetwork.tenants.invitation_revoked", key="tenant_id", subject="invitation_id")
class InvitationRevoked(Event):
    """`inviter_lost_rights`: who had sent it was removed, or may not grant its role any more."""

    invitation_id: InvitationId
    tenant_id: TenantId
    email: str
    role: TenantRole
    reason: Literal["revoked", "inviter_lost_rights"]


@event("prognetwork.tenants.member_role_changed", key="tenant_id", subject="user_id")
class MemberRoleChanged(Event):
    tenant_id: TenantId
    user_id: UserId
    email: str
    name: str
    role: TenantRole
    previous_role: TenantRole


@event("prognetwork.tenants.member_removed", key="tenant_id", subject="user_id")
class MemberRemoved(Event):
    """From now on the person gets in no more: `removed` by another, or `left` by themselves."""

    tenant_id: TenantId
    user_id: UserId
    email: str
    name: str
    role: TenantRole
    reason: Literal["removed", "left"]


@event("prognetwork.tenants.clock_changed", key="tenant_id")
class ClockChanged(Event):
    """A test clock was set or has arrived at `at`."""

    tenant_id: TenantId
    at: datetime
    fired_timers: int = 0
