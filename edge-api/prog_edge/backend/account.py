"""Behind the account pages: signing up, tenants with their people, and billing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from prog_contracts.credentials import is_reset_token, is_verification_token, tenant_of_invitation
from prog_contracts.errors import Denied, Invalid, NotFound
from prog_contracts.ids import PLATFORM_TENANT_ID, is_id, new_id
from prog_contracts.inputs import normalize_email
from prog_contracts.payments import AttachPaymentMethod, CancelSubscription, CreateSubscription
from prog_contracts.permissions import Action, allowed
from prog_contracts.profiles import avatar_path
from prog_contracts.tenants import AcceptInvitation, CreateTenant, InviteMember, TenantRole
from prog_contracts.users import (
    RegisterUser,
    RequestMagicLink,
    RequestPasswordReset,
    ResendVerification,
    ResetPassword,
    RevokeSessions,
    VerifyEmail,
)
from prog_edge.backend import billing
from prog_edge.backend.permission import role_for
from prog_edge.backend.sender import Sender
from prog_edge.context import current_site
from prog_edge.devices import device_name
from prog_edge.platform import Platform
from prog_edge.web.ports import (
    BillingView,
    Client,
    InvitationRow,
    InvoicePdf,
    MemberRow,
    SessionCard,
    TenantCard,
    TenantView,
    Viewer,
)
from prog_kit.pages import MAX_LIMIT
from prog_kit.secrets import PASSWORD, TOKEN
from prog_workers.payments import queries as payments
from prog_workers.tenants import queries as tenants
from prog_workers.users import queries as users
from prog_workers.users.queries import profiles


class Account:
    """Implements `prog_edge.web.ports.AccountBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    # -- signing up ----------------------------------------------------------------------------------------------------

    async def register(
        self, *, email: str, password: str, name: str, tenant_name: str | None, idempotency_key: str
    ) -> None:
        command = RegisterUser(
            user_id=new_id("user"),
            email=email,
            name=name,
            sealed_password=self._platform.sealer.seal(password, PASSWORD),
            tenant_name=tenant_name,
            site_tenant_id=_site_tenant(),
        )
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=None, idempotency_key=idempotency_key)

    async def resend_verification(self, *, email: str) -> None:
        command = ResendVerification(email=normalize_email(email), site_tenant_id=_site_tenant())
        await self._sender.tell(command, tenant_id=PLATFORM_TENANT_ID, actor=None)

    async def verify_email(self, *, token: str) -> None:
        if not is_verification_token(token):
            raise Invalid.field("token", "token_invalid", "This link is not valid any more; ask for a new one.")
        command = VerifyEmail(sealed_token=self._platform.sealer.seal(token, TOKEN))
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=None)

    async def request_password_reset(self, *, email: str, client: Client) -> None:
        command = RequestPasswordReset(
            email=normalize_email(email), client_address=client.address, site_tenant_id=_site_tenant()
        )
        await self._sender.tell(command, tenant_id=PLATFORM_TENANT_ID, actor=None)

    async def request_magic_link(self, *, email: str, client: Client) -> None:
        command = RequestMagicLink(
            email=normalize_email(email), client_address=client.address, site_tenant_id=_site_tenant()
        )
        await self._sender.tell(command, tenant_id=PLATFORM_TENANT_ID, actor=None)

    async def reset_password(self, *, token: str, password: str, client: Client, idempotency_key: str) -> None:
        if not is_reset_token(token):
            raise Invalid.field("token", "token_invalid", "This link is not valid any more; ask for a new one.")
        command = ResetPassword(
            sealed_token=self._platform.sealer.seal(token, TOKEN),
            sealed_password=self._platform.sealer.seal(password, PASSWORD),
            client_address=client.address,
        )
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=None, idempotency_key=idempotency_key)

    # -- sessions ------------------------------------------------------------------------------------------------------

    async def sessions(self, viewer: Viewer) -> Sequence[SessionCard]:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            rows = await users.sessions_of(connection, viewer.user_id, datetime.now(UTC))
        return [
            SessionCard(
                id=row.session_id,
                device=device_name(row.user_agent),
                method=row.method,
                second_factor=row.second_factor,
                client_address=row.client_address,
                created_at=row.created_at,
                last_used_at=row.refreshed_at,
                current=row.session_id == viewer.session_id,
            )
            for row in rows
        ]

    async def revoke_sessions(self, viewer: Viewer, session_id: str | None) -> None:
        if session_id is not None and not (is_id(session_id) and session_id.startswith("session_")):
            raise NotFound("There is no such session.", code="session_not_found")
        command = RevokeSessions(user_id=viewer.user_id, by_session_id=viewer.session_id, session_id=session_id)
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=viewer.user_id)

    # -- tenants and their people --------------------------------------------------------------------------------------

    async def tenants(self, viewer: Viewer) -> Sequence[TenantCard]:
        async with self._platform.database.scope(user_id=viewer.user_id) as connection:
            rows = (await tenants.tenants_of(connection, viewer.user_id, limit=MAX_LIMIT)).rows
        return [
            TenantCard(
                id=row.tenant_id,
                name=row.name,
                status=row.status,
                role=row.role,
                plan=row.plan,
                members=row.member_count,
                created_at=row.created_at,
            )
            for row in rows
        ]

    async def create_tenant(self, viewer: Viewer, *, name: str, idempotency_key: str) -> str:
        tenant_id = new_id("tenant")
        command = CreateTenant(
            tenant_id=tenant_id,
            name=name,
            owner_user_id=viewer.user_id,
            owner_email=viewer.email,
            owner_name=viewer.name,
        )
        result = await self._sender.ask(
            command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key
        )
        self._platform.memberships.forget(viewer.user_id)
        return str(result["tenant_id"])

    async def tenant(self, viewer: Viewer, tenant_id: str) -> TenantView:
        role = await self._allow(viewer, tenant_id, "tenant.read")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            row = await tenants.tenant(connection, tenant_id)
            if row is None:
                raise NotFound("There is no such tenant.")
            now = await billing.tenant_now(connection, tenant_id)
            members = await tenants.members(connection, tenant_id)
            invitations = await tenants.open_invitations(connection, tenant_id, now)
            limits = await tenants.limits(connection, tenant_id)
            current = await billing.current_subscription(connection) if allowed(role, "billing.read") else None
        async with self._platform.reader.operator() as connection:
            avatars = await profiles.avatar_ids(connection, [item.user_id for item in members])
        return TenantView(
            id=row.tenant_id,
            name=row.name,
            slug=row.slug,
            status=row.status,
            role=role,
            created_at=row.created_at,
            members=[
                MemberRow(
                    item.user_id,
                    item.name,
                    item.email,
                    item.role,
                    item.joined_at,
                    avatar_path(item.user_id, avatars[item.user_id]) if item.user_id in avatars else None,
                )
                for item in members
            ],
            invitations=[
                InvitationRow(item.invitation_id, item.email, item.role, item.expires_at, item.expired)
                for item in invitations
            ],
            subscription=current,
            clock_at=row.clock_at,
            suspension_reason=row.suspension_reason,
            purge_at=row.purge_at,
            seats=limits.get("members"),
        )

    async def invite_member(
        self, viewer: Viewer, tenant_id: str, *, email: str, role: TenantRole, idempotency_key: str
    ) -> None:
        await self._allow(viewer, tenant_id, "member.invite")
        command = InviteMember(invitation_id=new_id("invitation"), tenant_id=tenant_id, email=email, role=role)
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)

    async def accept_invitation(self, viewer: Viewer, *, token: str, idempotency_key: str) -> str:
        tenant_id = tenant_of_invitation(token)
        if tenant_id is None:
            raise NotFound("This invitation does not exist or is not open any more.", code="invitation_invalid")
        person = await self._platform.person(viewer.user_id)
        if not person.email_verified:
            raise Denied("Verify your address first: then the invitation can be accepted.", code="unverified")
        command = AcceptInvitation(
            tenant_id=tenant_id,
            sealed_token=self._platform.sealer.seal(token, TOKEN),
            user_id=person.user_id,
            email=person.email,
            name=person.name,
        )
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)
        self._platform.memberships.forget(viewer.user_id)
        return tenant_id

    # -- billing -------------------------------------------------------------------------------------------------------

    async def billing(self, viewer: Viewer, tenant_id: str, cursor: str | None = None) -> BillingView:
        role = await self._allow(viewer, tenant_id, "billing.read")
        sandbox = self._platform.settings.stripe_api_key is None
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            return await billing.view(connection, tenant_id, role, sandbox=sandbox, cursor=cursor)

    async def subscribe(
        self, viewer: Viewer, tenant_id: str, *, price_id: str, payment_method: str, idempotency_key: str
    ) -> None:
        await self._allow(viewer, tenant_id, "billing.manage")
        if not (is_id(price_id) and price_id.startswith("price_")):
            raise Invalid.field("price_id", "unknown_price", "Choose one of the plans.")
        command = CreateSubscription(
            subscription_id=new_id("subscription"), price_id=price_id, payment_method=payment_method
        )
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)

    async def change_card(self, viewer: Viewer, tenant_id: str, *, payment_method: str, idempotency_key: str) -> None:
        await self._allow(viewer, tenant_id, "billing.manage")
        command = AttachPaymentMethod(payment_method_id=new_id("method"), token=payment_method)
        try:
            await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)
        except Invalid as error:
            # The command names its field `token`; on the page it is the payment method.
            renamed = [item.model_copy(update={"field": "payment_method"}) for item in error.fields]
            raise Invalid(error.message, code=error.code, fields=renamed) from error

    async def cancel_subscription(self, viewer: Viewer, tenant_id: str, *, idempotency_key: str) -> None:
        await self._allow(viewer, tenant_id, "billing.manage")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            current = await billing.current_subscription(connection)
        if current is None:
            raise NotFound("There is no subscription to cancel.")
        command = CancelSubscription(subscription_id=current.id, at_period_end=True)
        await self._sender.ask(command, tenant_id=tenant_id, actor=viewer.user_id, idempotency_key=idempotency_key)

    async def invoice_pdf(self, viewer: Viewer, tenant_id: str, invoice_id: str) -> InvoicePdf:
        await self._allow(viewer, tenant_id, "billing.read")
        async with self._platform.database.scope(tenant_id=tenant_id) as connection:
            document = await payments.invoice_pdf(connection, invoice_id)
        if document is None:
            raise NotFound("There is no such invoice.")
        return InvoicePdf(document.filename, document.content)

    async def _allow(self, viewer: Viewer, tenant_id: str, action: Action) -> TenantRole:
        return await role_for(self._platform, viewer, tenant_id, action)


def _site_tenant() -> str | None:
    """The tenant at whose own host somebody asks: one that has proven the host, never what a request says."""
    site = current_site()
    return None if site is None else site.tenant_id
