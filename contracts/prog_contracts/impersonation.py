"""Messages about support that acts in somebody's name (infra/adr/0029-impersonation.md).

An operator begins an impersonation of one person, with a reason and for minutes. What is asked in it names both of them
(`prog_contracts.actors`). It ends by hand, at its limit, or with what it stands on: the operator's session and office,
the person's account as it was.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, Literal

from pydantic import Field

from prog_contracts.ids import ImpersonationId, SessionId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event

MINUTES_DEFAULT: Final = 15
MINUTES_MAX: Final = 60
REASON_MAX_LENGTH: Final = 500

ImpersonationEnd = Literal["by_hand", "time_limit", "session_ended", "account_changed"]
"""`session_ended` is the operator's, `account_changed` is what the person's account went through meanwhile: another
password, no second factor any more, a deletion that was asked for."""


@command("prognetwork.users.begin_impersonation", key="user_id")
class BeginImpersonation(Command):
    """An operator who has signed in just now acts in somebody's name from now on.

    The reply, sealed, is an `ImpersonationToken` (`prog_contracts.accounts`).
    """

    impersonation_id: ImpersonationId
    user_id: UserId
    by_session_id: SessionId
    reason: str
    minutes: int = Field(MINUTES_DEFAULT, ge=1, le=MINUTES_MAX)


@command("prognetwork.users.end_impersonation", key="impersonation_id")
class EndImpersonation(Command):
    """End one, before its limit. Operators may, their own and others'."""

    impersonation_id: ImpersonationId


@command("prognetwork.users.expire_impersonation", key="impersonation_id")
class ExpireImpersonation(Command):
    """A timer: the limit is reached. Its token is good no more since then, whoever sends this and when."""

    impersonation_id: ImpersonationId


@event("prognetwork.users.impersonation_began", key="user_id")
class ImpersonationBegan(Event):
    """`operator_id` acts in the name of `user_id` until `expires_at` at the latest."""

    impersonation_id: ImpersonationId
    user_id: UserId
    operator_id: UserId
    by_session_id: SessionId
    reason: str
    began_at: datetime
    expires_at: datetime


@event("prognetwork.users.impersonation_ended", key="user_id")
class ImpersonationEnded(Event):
    impersonation_id: ImpersonationId
    user_id: UserId
    operator_id: UserId
    end: ImpersonationEnd
    ended_at: datetime


@event("prognetwork.tenants.member_impersonation_began", key="tenant_id", subject="user_id")
class MemberImpersonationBegan(Event):
    """Told in each tenant of the person. The reason is not, for it may be about another one."""

    tenant_id: TenantId
    user_id: UserId
    impersonation_id: ImpersonationId
    operator_id: UserId
    expires_at: datetime


@event("prognetwork.tenants.member_impersonation_ended", key="tenant_id", subject="user_id")
class MemberImpersonationEnded(Event):
    tenant_id: TenantId
    user_id: UserId
    impersonation_id: ImpersonationId
    operator_id: UserId
    end: ImpersonationEnd
