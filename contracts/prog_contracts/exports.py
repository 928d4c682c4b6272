"""Messages about taking one's data along."""

from __future__ import annotations

from datetime import datetime

from prog_contracts.ids import SessionId, UserId
from prog_contracts.messages import Command, Event, command, event


@command("prognetwork.users.export_user", key="user_id")
class ExportUser(Command):
    """Allow a person to take their data along, who has signed in just now. The edge makes the file as it sends it."""

    user_id: UserId
    by_session_id: SessionId
    client_address: str | None = None


@event("prognetwork.users.user_exported", key="user_id")
class UserExported(Event):
    """A person was given a file of all that there is of them."""

    user_id: UserId
    by_session_id: SessionId
    exported_at: datetime
    client_address: str | None = None
