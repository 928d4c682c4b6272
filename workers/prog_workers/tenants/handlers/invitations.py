"""Invitations: made, sent again, taken back, accepted."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Final, Literal

from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.configuration import Configuration
from prog_contracts.credentials import invitation_token, tenant_of_invitation
from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.inputs import normalize_email
from prog_contracts.messages import Event, Message
from prog_contracts.permissions import closed, may_grant, possible
from prog_contracts.tenants import (
    AcceptInvitation,
    InvitationResent,
    InvitationRevoked,
    InviteMember,
    MemberInvited,
    MemberJoined,
    ResendInvitation,
    RevokeInvitation,
    TenantRole,
)
from prog_kit import secrets
from prog_workers.tenants import errors, rules, store
from prog_workers.tenants.handlers.directory.links import link_joined
from prog_workers.tenants.handlers.domain import PLATFORM_NAME, check_tenant, locked, refuse, require, tenants
from prog_workers.tenants.handlers.sign_on import owners_changed
from prog_workers.tenants.handlers.usage import warn_owners

_DIGEST: Final = "invitation"


@tenants.handles(InviteMember)
async def invite_member(command: InviteMember, tx: Transaction) -> list[Message]:
    """Mails a link that joins the tenant. An earlier open invitation to the same address is replaced."""
    check_tenant(command.tenant_id, tx)
    email = normalize_email(command.email)
    role = await require(tx, "member.invite")
    await locked(tx)
    seats = await store.seats(tx, inviting=email)
    member, scopes = await store.is_member(tx, email), rules.scopes_of(tx.actor)
    refuse(rules.invitation_refusal(role, command.role, is_member=member, seats=seats, scopes=scopes))
    await _spare(tx, email)
    invited, mail = await invite(tx, command.invitation_id, email, command.role)
    warned = await warn_owners(tx, "members", seats.limit, seats.taken + 1)
    return [invited, mail] if warned is None else [invited, mail, warned]


@tenants.handles(ResendInvitation)
async def resend_invitation(command: ResendInvitation, tx: Transaction) -> tuple[InvitationResent, SendMail]:
    """Mails a new link and lets the invitation run anew, as the sender's own; the link before does not work any more.

    Whoever sends it again grants its role, so it takes the rights that a new invitation would take.
    """
    check_tenant(command.tenant_id, tx)
    role = await require(tx, "member.invite")
    await locked(tx)
    invitation = await store.invitation(tx, command.invitation_id)
    if invitation is None:
        raise errors.invitation_unknown()
    seats = await store.seats(tx, inviting=invitation.email)
    member, scopes = await store.is_member(tx, invitation.email), rules.scopes_of(tx.actor)
    refuse(rules.invitation_refusal(role, invitation.role, is_member=member, seats=seats, scopes=scopes))
    await _spare(tx, invitation.email)
    token = _new_token(tx)
    inviter_name = await _inviter_name(tx)
    configuration = (await store.configured(tx)).configuration
    expires_at = tx.now + timedelta(days=configuration.invitations.lifetime_days)
    await store.renew(
        tx,
        invitation.invitation_id,
        token_digest=tx.sealer.digest(token, _DIGEST),
        inviter_name=inviter_name,
        expires_at=expires_at,
    )
    resent = InvitationResent(
        invitation_id=invitation.invitation_id,
        tenant_id=tx.tenant_id,
        email=invitation.email,
        role=invitation.role,
        expires_at=expires_at,
    )
    return resent, await _mail(tx, configuration, invitation.email, invitation.role, inviter_name, token)


@tenants.handles(RevokeInvitation)
async def revoke_invitation(command: RevokeInvitation, tx: Transaction) -> InvitationRevoked:
    """Takes an invitation back; its link does not work any more."""
    check_tenant(command.tenant_id, tx)
    role = await require(tx, "member.invite")
    invitation = await store.invitation(tx, command.invitation_id)
    if invitation is None:
        raise errors.invitation_unknown()
    refuse(rules.revocation_refusal(role, invitation.role, rules.scopes_of(tx.actor)))
    [revoked] = await take_back(tx, [invitation])
    return revoked


@tenants.handles(AcceptInvitation)
async def accept_invitation(command: AcceptInvitation, tx: Transaction) -> list[Event]:
    """Spends the token of an invitation. `email` is the person's verified address, as the edge read it."""
    check_tenant(command.tenant_id, tx)
    if tx.actor is not None and not is_process(tx.actor) and tx.actor != command.user_id:
        raise errors.not_permitted()
    token = _open_token(tx, command.sealed_token)
    tenant = await store.lock_tenant(tx)  # before the invitation, as whoever invites does
    invitation = await store.open_invitation(tx, tx.sealer.digests(token, _DIGEST))
    if invitation is None or tenant_of_invitation(token) != command.tenant_id:
        raise errors.invitation_unknown()
    email = normalize_email(command.email)
    refuse(rules.acceptance_refusal(invitation.email, invitation.expires_at, email, tx.now))
    if tenant is None:
        raise errors.invitation_unknown()
    if not possible(tenant.status, "member.invite"):
        raise closed(tenant.status)
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
    told: list[Event] = [joined, *await link_joined(tx, joined.user_id, email)]
    return [*told, *await owners_changed(tx)] if joined.role == "owner" else told


async def invite(tx: Transaction, invitation_id: str, email: str, role: TenantRole) -> tuple[MemberInvited, SendMail]:
    """Opens an invitation that whoever asks for may open, in place of an open one to the same address."""
    token = _new_token(tx)
    inviter_name = await _inviter_name(tx)
    configuration = (await store.configured(tx)).configuration
    expires_at = tx.now + timedelta(days=configuration.invitations.lifetime_days)
    await store.replace_invitation(
        tx,
        invitation_id,
        email=email,
        role=role,
        token_digest=tx.sealer.digest(token, _DIGEST),
        inviter_name=inviter_name,
        expires_at=expires_at,
    )
    invited = MemberInvited(
        invitation_id=invitation_id, tenant_id=tx.tenant_id, email=email, role=role, expires_at=expires_at
    )
    return invited, await _mail(tx, configuration, email, role, inviter_name, token)


async def take_back(
    tx: Transaction,
    invitations: Iterable[store.OpenInvitation],
    reason: Literal["revoked", "inviter_lost_rights"] = "revoked",
) -> list[InvitationRevoked]:
    """Ends open invitations: their links do not work any more."""
    revoked = []
    for item in invitations:
        await store.revoke(tx, item.invitation_id)
        revoked.append(
            InvitationRevoked(
                invitation_id=item.invitation_id,
                tenant_id=tx.tenant_id,
                email=item.email,
                role=item.role,
                reason=reason,
            )
        )
    return revoked


async def take_back_at(tx: Transaction, *emails: str | None) -> list[InvitationRevoked]:
    """Takes back the open invitations to the addresses of somebody who is out: they come back by a new one alone."""
    found = [await store.open_invitation_at(tx, email) for email in dict.fromkeys(emails) if email is not None]
    return await take_back(tx, [item for item in found if item is not None])


async def take_back_ungrantable(tx: Transaction, inviter: str, role: TenantRole | None) -> list[InvitationRevoked]:
    """Takes back the inviter's open invitations for roles that somebody with the role `role` may not grant."""
    beyond = [item for item in await store.invitations_by(tx, inviter) if not may_grant(role, item.role)]
    return await take_back(tx, beyond, "inviter_lost_rights")


async def _spare(tx: Transaction, email: str) -> None:
    """Raises Conflict for an address that was mailed to often enough: whoever owns it has asked for none of this."""
    if await store.invitations_mailed(tx, email, tx.now - timedelta(days=1)) >= rules.INVITATION_MAILS_A_DAY:
        raise errors.invited_often(rules.INVITATION_MAILS_A_DAY)


def _open_token(tx: Transaction, sealed: str) -> str:
    try:
        return tx.sealer.open(sealed, secrets.TOKEN)
    except secrets.SealError:
        raise errors.invitation_unknown() from None


def _new_token(tx: Transaction) -> str:
    return invitation_token(tx.tenant_id, secrets.new_token())


async def _inviter_name(tx: Transaction) -> str:
    return (await store.actor(tx)).member_name or PLATFORM_NAME


async def _mail(
    tx: Transaction, configuration: Configuration, email: str, role: TenantRole, inviter_name: str, token: str
) -> SendMail:
    tenant = await store.tenant(tx)
    assert tenant is not None
    name = configuration.branding.name or tenant.name
    return SendMail(
        mail_id=new_id("mail"),
        template="invitation",
        to=email,
        data={"tenant_name": name, "inviter_name": inviter_name, "role": role},
        sealed_data={"token": tx.sealer.seal(token, secrets.MAIL)},
    )
