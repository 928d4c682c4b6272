"""Messages about the end of a person's account, in each domain that takes part (infra/adr/0025-end-of-an-account.md).

users: `DeleteUser` begins the grace period, `RestoreUser` takes it back, `EraseUser` ends it. Then tenants lets go of
the person (`PersonReleased`), or tells that a tenant would be left without an owner (`PersonRetained`). Once released
the account is gone (`users.UserDeleted`), and a day later each domain forgets what names the person elsewhere.

`sealed_person` is a `Person` that was sealed by `prog_kit.secrets.Sealer`; the last step takes it out of the log, too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from prog_contracts.ids import SessionId, TenantId, UserId
from prog_contracts.messages import Command, Event, command, event


class Person(BaseModel):
    """By what somebody is found who is to be forgotten."""

    model_config = ConfigDict(frozen=True)

    user_id: UserId
    email: str
    name: str


# -- users -------------------------------------------------------------------------------------------------------------


@command("prognetwork.users.delete_user", key="user_id")
class DeleteUser(Command):
    """Begin the grace period of an account, or leave it as it is when it has begun.

    The person may, who has signed in just now, and an operator who has, with a reason. `by_session_id` is whose sign-in
    that was.
    """

    user_id: UserId
    by_session_id: SessionId | None = None
    reason: str | None = None


@command("prognetwork.users.restore_user", key="user_id")
class RestoreUser(Command):
    """Take a deletion back while its grace period lasts. The person may, and an operator."""

    user_id: UserId


@command("prognetwork.users.erase_user", key="user_id")
class EraseUser(Command):
    """A timer: the grace period is over. Does nothing before that, or for an account that is not to be deleted."""

    user_id: UserId


@command("prognetwork.users.forget_user", key="user_id")
class ForgetUser(Command):
    """A timer: what was under way when the account ended has ended, too; every domain may forget the person."""

    user_id: UserId
    sealed_person: str


@event("prognetwork.users.user_deletion_requested", key="user_id")
class UserDeletionRequested(Event):
    """The account goes on until `erase_at`, and can be restored. All sessions but the one in use have ended."""

    user_id: UserId
    erase_at: datetime
    by: Literal["person", "operator"]
    reason: str | None = None
    sessions_ended: int = 0


@event("prognetwork.users.user_restored", key="user_id")
class UserRestored(Event):
    """Its deletion was taken back."""

    user_id: UserId


@event("prognetwork.users.user_leaving", key="user_id")
class UserLeaving(Event):
    """The grace period is over and nobody gets in any more: tenants lets the person go, or tells why it cannot."""

    user_id: UserId


@event("prognetwork.users.user_deletion_stopped", key="user_id")
class UserDeletionStopped(Event):
    """The account stays, for these tenants would have no owner without it."""

    user_id: UserId
    tenant_ids: tuple[TenantId, ...]


# -- tenants -----------------------------------------------------------------------------------------------------------


@command("prognetwork.tenants.forget_person", key="user_id")
class ForgetMember(Command):
    """Take out of invitations who a deleted account's person was."""

    user_id: UserId
    sealed_person: str


@event("prognetwork.tenants.person_released", key="user_id")
class PersonReleased(Event):
    """The person is no member of any tenant any more."""

    user_id: UserId


@event("prognetwork.tenants.person_retained", key="user_id")
class PersonRetained(Event):
    """Nothing changed: of these tenants the person is the only owner."""

    user_id: UserId
    tenant_ids: tuple[TenantId, ...]
    tenant_names: tuple[str, ...]


# -- email -------------------------------------------------------------------------------------------------------------


@command("prognetwork.email.forget_person", key="user_id")
class ForgetRecipient(Command):
    """Take out of mails who a deleted account's person was."""

    user_id: UserId
    sealed_person: str


# -- events ------------------------------------------------------------------------------------------------------------


@command("prognetwork.events.forget_person", key="user_id")
class ForgetPerson(Command):
    """Take out of dead letters, answers and the event log who a deleted account's person was, a part at a time.

    `after` is how far that is: the id of an answer, or a position of the log.
    """

    user_id: UserId
    sealed_person: str
    part: Literal["letters", "answers", "log"] = "letters"
    after: str = ""
    changed: int = 0


@event("prognetwork.events.person_forgotten", key="user_id")
class PersonForgotten(Event):
    """Nothing names the person any more but what the law has kept: `messages` of the log and its like were changed."""

    user_id: UserId
    messages: int
