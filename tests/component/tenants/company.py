"""What a tenant's people do, as short calls on a platform with the tenants domain."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

from prog_broker.replies import Answer
from prog_contracts.email import SendMail
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.messages import Command
from prog_contracts.tenants import (
    AcceptInvitation,
    AdvanceClock,
    ChangeMemberRole,
    CreateTenant,
    DeleteTenant,
    InviteMember,
    RemoveMember,
    ResendInvitation,
    RestoreTenant,
    ResumeTenant,
    RevokeInvitation,
    SetClock,
    SuspendTenant,
    TenantRole,
)
from prog_contracts.users import PlatformRole, UserCreated
from prog_kit import secrets
from tests.component.harness import Harness

START = datetime(2027, 1, 31, tzinfo=UTC)


@dataclass
class Company:
    """A tenant and its owner."""

    platform: Harness
    name: str = "Acme Ltd"
    tenant_id: str = field(default_factory=lambda: new_id("tenant"))
    owner_id: str = field(default_factory=lambda: new_id("user"))
    owner_email: str = "owner@example.com"
    owner_name: str = "Olga Owner"

    async def send(self, command: Command, actor: str | None = None) -> Answer:
        """A command of the owner, or of `actor`."""
        return await self.platform.request(command, tenant_id=self.tenant_id, actor=actor or self.owner_id)

    async def create(self) -> Answer:
        command = CreateTenant(
            tenant_id=self.tenant_id,
            name=self.name,
            owner_user_id=self.owner_id,
            owner_email=self.owner_email,
            owner_name=self.owner_name,
        )
        return await self.send(command)

    async def open(self) -> None:
        answer = await self.create()
        assert answer.status == "succeeded", answer
        await self.platform.settle()

    async def invite(self, email: str, role: TenantRole = "member", actor: str | None = None) -> Answer:
        command = InviteMember(invitation_id=new_id("invitation"), tenant_id=self.tenant_id, email=email, role=role)
        return await self.send(command, actor)

    async def mailed_token(self) -> str:
        """The token in the latest invitation mail."""
        mails = await self.platform.events(SendMail, tenant_id=self.tenant_id)
        return self.platform.sealer.open(mails[-1].sealed_data["token"], secrets.MAIL)

    async def accept(
        self,
        token: str,
        email: str,
        user_id: str | None = None,
        *,
        tenant_id: str | None = None,
        actor: str | None = None,
    ) -> Answer:
        command = AcceptInvitation(
            tenant_id=tenant_id or self.tenant_id,
            sealed_token=self.platform.seal(token, secrets.TOKEN),
            user_id=user_id or new_id("user"),
            email=email,
            name="Joe",
        )
        return await self.platform.request(command, tenant_id=command.tenant_id, actor=actor or command.user_id)

    async def take_in(self, email: str, role: TenantRole) -> str:
        """Invites somebody who joins; their user id."""
        user_id = new_id("user")
        assert (await self.invite(email, role)).status == "succeeded"
        answer = await self.accept(await self.mailed_token(), email, user_id)
        assert answer.status == "succeeded", answer
        return user_id

    async def change_role(self, user_id: str, role: TenantRole, actor: str | None = None) -> Answer:
        return await self.send(ChangeMemberRole(tenant_id=self.tenant_id, user_id=user_id, role=role), actor)

    async def remove(self, user_id: str, actor: str | None = None) -> Answer:
        return await self.send(RemoveMember(tenant_id=self.tenant_id, user_id=user_id), actor)

    async def resend(self, invitation_id: str, actor: str | None = None) -> Answer:
        return await self.send(ResendInvitation(invitation_id=invitation_id, tenant_id=self.tenant_id), actor)

    async def revoke(self, invitation_id: str, actor: str | None = None) -> Answer:
        return await self.send(RevokeInvitation(invitation_id=invitation_id, tenant_id=self.tenant_id), actor)

    async def suspend(self, operator: str, reason: str = "Unpaid invoices") -> Answer:
        return await self.send(SuspendTenant(tenant_id=self.tenant_id, reason=reason), operator)

    async def resume(self, operator: str) -> Answer:
        return await self.send(ResumeTenant(tenant_id=self.tenant_id), operator)

    async def delete(self, actor: str | None = None) -> Answer:
        return await self.send(DeleteTenant(tenant_id=self.tenant_id), actor)

    async def restore(self, actor: str | None = None) -> Answer:
        return await self.send(RestoreTenant(tenant_id=self.tenant_id), actor)

    async def status(self) -> str:
        rows = await self.platform.fetch("SELECT status FROM tenants.tenants WHERE tenant_id = $1", self.tenant_id)
        return str(rows[0]["status"])

    async def mailed(self) -> list[tuple[str, str]]:
        """Template and address of the mails about the tenant's own state."""
        mails = await self.platform.events(SendMail)
        return [(mail.template, mail.to) for mail in mails if mail.template.startswith("tenant_")]

    async def roles(self) -> dict[str, str]:
        """The members' roles by user id, as they stand in the database."""
        rows = await self.platform.fetch(
            "SELECT user_id, role FROM tenants.members WHERE tenant_id = $1", self.tenant_id
        )
        return {row["user_id"]: row["role"] for row in rows}

    async def set_clock(self, at: datetime = START, actor: str | None = None) -> Answer:
        return await self.send(SetClock(tenant_id=self.tenant_id, at=at), actor)

    async def advance(self, to: datetime) -> Answer:
        return await self.send(AdvanceClock(tenant_id=self.tenant_id, to=to))


async def staff(platform: Harness, role: PlatformRole = "operator") -> str:
    """A person of the platform; the user id."""
    user_id = new_id("user")
    created = UserCreated(
        user_id=user_id, email=f"{role}@example.com", name="Root", created_at=platform.clock.at,
        email_verified=True, platform_role=role,
    )  # fmt: skip
    await platform.publish(created, tenant_id=PLATFORM_TENANT_ID)
    return user_id


def code(answer: Answer) -> str:
    """The code of a refusal; of its first field, where it is about one."""
    assert answer.status == "failed", answer
    assert answer.error is not None
    return answer.error.fields[0].code if answer.error.fields else answer.error.code
