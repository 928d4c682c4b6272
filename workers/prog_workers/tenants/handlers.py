"""Use cases of the tenants domain. Every command runs under the tenant that it is about."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

from prog_broker.domain import Domain
from prog_broker.outcome import Reply
from prog_broker.transaction import Transaction
from prog_contracts.credentials import invitation_token, tenant_of_invitation
from prog_contracts.email import SendMail
from prog_contracts.errors import ProgError
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.inputs import clean_name, normalize_email
from prog_contracts.payments import (
    PaymentProcessed,
    SubscriptionCanceled,
    SubscriptionCreated,
    SubscriptionEvent,
    SubscriptionUpdated,
)
from prog_contracts.permissions import Action, allowed
from prog_contracts.tenants import (
    AcceptInvitation,
    AdvanceClock,
    BillingChanged,
    ClockChanged,
    CreateTenant,
    FinishClockAdvance,
    InviteMember,
    MemberInvited,
    MemberJoined,
    ProvisionTenant,
    RenameTenant,
    SetClock,
    TenantCreated,
    TenantRole,
    TenantUpdated,
)
from prog_contracts.users import EmailVerified, UserCreated, UserUpdated
from prog_kit import secrets
from prog_workers.tenants import errors, rules, store

tenants = Domain("tenants")

PLATFORM_NAME = "ProgNetwork"
_DIGEST: Final = "invitation"


# -- a tenant's life ---------------------------------------------------------------------------------------------------


@tenants.handles(CreateTenant)
async def create_tenant(command: CreateTenant, tx: Transaction) -> TenantCreated:
    """Makes the tenant and its owner; provisioning follows at once as a command of its own."""
    _check_tenant(command.tenant_id, tx)
    if tx.actor is not None and not rules.is_process(tx.actor) and tx.actor != command.owner_user_id:
        _refuse(None if await store.is_operator(tx, tx.actor) else errors.not_permitted())
    name = clean_name(command.name, max_length=rules.TENANT_NAME_MAX_LENGTH)
    owner = command.model_copy(update={"owner_email": normalize_email(command.owner_email, "owner_email")})
    slug = rules.slug(name, command.tenant_id)
    if not await store.insert_tenant(tx, owner, name, slug):
        slug = rules.slug(name, command.tenant_id, suffix_length=26)
        if not await store.insert_tenant(tx, owner, name, slug):
            raise errors.tenant_exists()
    tx.send(ProvisionTenant(tenant_id=command.tenant_id))
    return TenantCreated(
        tenant_id=command.tenant_id,
        name=name,
        slug=slug,
        status="provisioning",
        created_at=tx.now,
        owner_user_id=command.owner_user_id,
        owner_email=owner.owner_email,
        owner_name=command.owner_name,
    )


@tenants.handles(ProvisionTenant)
async def provision_tenant(command: ProvisionTenant, tx: Transaction) -> TenantUpdated | None:
    """Takes the steps that are not done yet. The last one opens the tenant."""
    _check_tenant(command.tenant_id, tx)
    if await store.tenant(tx) is None:
        raise errors.tenant_not_found()
    opened = False
    for step in rules.remaining(await store.steps_done(tx)):
        opened = await _STEPS[step](tx) or opened
        await store.mark_step(tx, step)
    return await _updated(tx, "status") if opened else None


@tenants.handles(RenameTenant)
async def rename_tenant(command: RenameTenant, tx: Transaction) -> TenantUpdated:
    _check_tenant(command.tenant_id, tx)
    await _require(tx, "tenant.update")
    await store.rename(tx, clean_name(command.name, max_length=rules.TENANT_NAME_MAX_LENGTH))
    return await _updated(tx, "name")


# -- members -----------------------------------------------------------------------------------------------------------


@tenants.handles(InviteMember)
async def invite_member(command: InviteMember, tx: Transaction) -> tuple[MemberInvited, SendMail]:
    """Mails a link that joins the tenant. An earlier open invitation to the same address is replaced."""
    _check_tenant(command.tenant_id, tx)
    email = normalize_email(command.email)
    tenant = await store.tenant(tx)
    actor = await store.actor(tx)
    role = _role(tx, actor)
    if tenant is None or role is None:
        raise errors.tenant_not_found()
    if not rules.is_open(tenant.status):
        raise errors.tenant_closed()
    seats = await store.seats(tx, inviting=email)
    _refuse(rules.invitation_refusal(role, command.role, is_member=await store.is_member(tx, email), seats=seats))
    token = invitation_token(command.tenant_id, secrets.new_token())
    inviter_name = actor.member_name or PLATFORM_NAME
    expires_at = tx.now + rules.INVITATION_LIFETIME
    await store.replace_invitation(
        tx,
        command.invitation_id,
        email=email,
        role=command.role,
        token_digest=tx.sealer.digest(token, _DIGEST),
        inviter_name=inviter_name,
        expires_at=expires_at,
    )
    invited = MemberInvited(
        invitation_id=command.invitation_id,
        tenant_id=command.tenant_id,
        email=email,
        role=command.role,
        expires_at=expires_at,
    )
    return invited, SendMail(
        mail_id=new_id("mail"),
        template="invitation",
        to=email,
        data={"tenant_name": tenant.name, "inviter_name": inviter_name, "role": command.role},
        sealed_data={"token": tx.sealer.seal(token, secrets.MAIL)},
    )


@tenants.handles(AcceptInvitation)
async def accept_invitation(command: AcceptInvitation, tx: Transaction) -> MemberJoined:
    """Spends the token of an invitation. `email` is the person's verified address, as the edge read it."""
    _check_tenant(command.tenant_id, tx)
    if tx.actor is not None and not rules.is_process(tx.actor) and tx.actor != command.user_id:
        raise errors.not_permitted()
    token = _open_token(tx, command.sealed_token)
    invitation = await store.open_invitation(tx, tx.sealer.digests(token, _DIGEST))
    if invitation is None or tenant_of_invitation(token) != command.tenant_id:
        raise errors.invitation_unknown()
    email = normalize_email(command.email)
    _refuse(rules.acceptance_refusal(invitation.email, invitation.expires_at, email, tx.now))
    tenant = await store.tenant(tx)
    if tenant is None or not rules.is_open(tenant.status):
        raise errors.tenant_closed()
    joined = MemberJoined(
        tenant_id=command.tenant_id,
        user_id=command.user_id,
        email=email,
        name=command.name,
        role=invitation.role,
        invitation_id=invitation.invitation_id,
    )
    await store.accept(tx, invitation.invitation_id, command.user_id)
    if not await store.insert_member(
        tx, joined.user_id, email=email, name=joined.name, role=joined.role, invitation_id=joined.invitation_id
    ):
        raise errors.already_member()
    return joined


# -- the movable clock -------------------------------------------------------------------------------------------------


@tenants.handles(SetClock)
async def set_clock(command: SetClock, tx: Transaction) -> ClockChanged:
    """Takes the tenant off the wall clock, for good."""
    _check_tenant(command.tenant_id, tx)
    await _require(tx, "clock.move")
    at = rules.checked_start(command.at)
    if command.tenant_id == PLATFORM_TENANT_ID:
        raise errors.platform_clock()
    clock = await store.clock(tx)
    if clock is not None and (clock.stands_at != at or clock.operation_id is not None):
        raise errors.clock_exists()
    if clock is None:
        await store.insert_clock(tx, at)
    return ClockChanged(tenant_id=command.tenant_id, at=at)


@tenants.handles(AdvanceClock)
async def advance_clock(command: AdvanceClock, tx: Transaction) -> Reply:
    """Says where the clock is to go. The scheduler walks it there, timer by timer, and then completes the operation."""
    _check_tenant(command.tenant_id, tx)
    await _require(tx, "clock.move")
    clock = await store.clock(tx)
    if clock is None:
        raise errors.clock_missing()
    if clock.operation_id is not None:
        raise errors.clock_advancing()
    await store.start_advance(tx, rules.checked_advance(clock.stands_at, command.to))
    return Reply(None, pending=True)


@tenants.handles(FinishClockAdvance)
async def finish_clock_advance(command: FinishClockAdvance, tx: Transaction) -> ClockChanged | None:
    """The clock has arrived and all work on the way has come to rest."""
    _check_tenant(command.tenant_id, tx)
    operation_id = UUID(command.operation_id)
    if not await store.finish_advance(tx, operation_id):
        return None
    changed = ClockChanged(tenant_id=command.tenant_id, at=command.at, fired_timers=command.fired_timers)
    tx.complete_operation(operation_id, changed.model_dump(mode="json"))
    return changed


# -- what other domains say --------------------------------------------------------------------------------------------


@tenants.handles(UserCreated)
async def admit_staff(event: UserCreated, tx: Transaction) -> MemberJoined | None:
    """An operator of the platform may act in every tenant, and owns the platform's own."""
    if event.platform_role is None:
        return None
    await store.put_staff(tx, event.user_id, event.platform_role)
    role: TenantRole = "owner" if event.platform_role == "operator" else "viewer"
    if not await store.insert_member(tx, event.user_id, email=event.email, name=event.name, role=role):
        return None
    return MemberJoined(tenant_id=tx.tenant_id, user_id=event.user_id, email=event.email, name=event.name, role=role)


@tenants.handles(EmailVerified)
async def create_wanted_tenant(event: EmailVerified, tx: Transaction) -> None:
    """Makes the organisation that somebody named at sign-up, now that the address is known to be theirs."""
    if event.tenant_name is None:
        return
    tenant_id = new_id("tenant")
    tx.send(
        CreateTenant(
            tenant_id=tenant_id,
            name=event.tenant_name,
            owner_user_id=event.user_id,
            owner_email=event.email,
            owner_name=event.name,
        ),
        tenant_id=tenant_id,
    )


@tenants.handles(UserUpdated)
async def rename_members(event: UserUpdated, tx: Transaction) -> None:
    if "name" in event.changed:
        await store.rename_person(tx, event.user_id, event.name)


@tenants.handles(PaymentProcessed)
async def record_first_payment(event: PaymentProcessed, tx: Transaction) -> None:
    await store.set_paid(tx, event.paid_at)


@tenants.handles(SubscriptionCreated)
async def follow_new_subscription(event: SubscriptionCreated, tx: Transaction) -> BillingChanged | None:
    return await _follow(event, "created", tx)


@tenants.handles(SubscriptionUpdated)
async def follow_subscription(event: SubscriptionUpdated, tx: Transaction) -> BillingChanged | None:
    return await _follow(event, event.reason, tx)


@tenants.handles(SubscriptionCanceled)
async def follow_cancellation(event: SubscriptionCanceled, tx: Transaction) -> BillingChanged | None:
    return await _follow(event, f"canceled_{event.reason}", tx)


async def _follow(event: SubscriptionEvent, reason: str, tx: Transaction) -> BillingChanged | None:
    """Gives the tenant the plan that its subscription pays for, and that plan's limits."""
    granted = rules.grants_plan(event.status)
    if granted is None:
        return None
    plan = event.plan if granted else None
    if not await store.set_plan(tx, plan):
        return None
    await store.set_limits(tx, rules.limits_of(plan))
    return BillingChanged(tenant_id=tx.tenant_id, plan=plan, reason=reason)


# -- shared ------------------------------------------------------------------------------------------------------------


def _check_tenant(tenant_id: str, tx: Transaction) -> None:
    if tenant_id != tx.tenant_id:
        raise errors.wrong_tenant()


def _refuse(refusal: ProgError | None) -> None:
    if refusal is not None:
        raise refusal


def _role(tx: Transaction, actor: store.Actor) -> TenantRole | None:
    """The role in which the sender acts; the platform's own processes act as owners."""
    return "owner" if rules.is_process(tx.actor) else rules.effective_role(actor.member_role, actor.staff_role)


async def _require(tx: Transaction, action: Action) -> None:
    """Refuses an actor who may not do this here; to a stranger the tenant does not exist."""
    role = _role(tx, await store.actor(tx))
    tenant = None if role is None else await store.tenant(tx)
    if tenant is None:
        raise errors.tenant_not_found()
    if not allowed(role, action):
        raise errors.not_permitted()
    if not rules.is_open(tenant.status):
        raise errors.tenant_closed()


async def _updated(tx: Transaction, *changed: str) -> TenantUpdated:
    tenant = await store.tenant(tx)
    assert tenant is not None
    return TenantUpdated(
        tenant_id=tx.tenant_id,
        name=tenant.name,
        status=tenant.status,
        changed=changed,
        owner_email=tenant.owner_email,
        owner_name=tenant.owner_name,
    )


def _open_token(tx: Transaction, sealed: str) -> str:
    try:
        return tx.sealer.open(sealed, secrets.TOKEN)
    except secrets.SealError:
        raise errors.invitation_unknown() from None


async def _configure(tx: Transaction) -> bool:
    await store.insert_config(tx)
    return False


async def _limit(tx: Transaction) -> bool:
    tenant = await store.tenant(tx)
    await store.set_limits(tx, rules.limits_of(None if tenant is None else tenant.plan))
    return False


_STEPS: dict[rules.Step, Callable[[Transaction], Awaitable[bool]]] = {
    "configuration": _configure,
    "limits": _limit,
    "activation": store.activate,
}
