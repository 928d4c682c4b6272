"""What the security page needs: the second factor of one's account, and one's password."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from markupsafe import Markup

from prog_edge.web.ports.shared import Client, Viewer


@dataclass(frozen=True, slots=True)
class SecondFactorView:
    """The viewer's authenticator app and recovery codes."""

    enrolled_at: datetime
    codes_left: int
    codes_made_at: datetime | None


@dataclass(frozen=True, slots=True)
class EnrolmentView:
    """An app to set up: its secret to scan or to type in. `kept` is the same, sealed, for the form to bring back."""

    secret: str
    uri: str
    qr: Markup
    kept: str


class SecurityBackend(Protocol):
    """Each change raises Denied with code `fresh_sign_in_required` unless the viewer has signed in just now."""

    async def second_factor(self, viewer: Viewer) -> SecondFactorView | None: ...

    async def start_enrolment(self, viewer: Viewer, *, idempotency_key: str) -> EnrolmentView: ...

    def enrolment(self, viewer: Viewer, kept: str) -> EnrolmentView | None:
        """What `start_enrolment` gave, from its `kept`; None when that does not open."""
        ...

    async def confirm_enrolment(
        self, viewer: Viewer, *, code: str, client: Client, idempotency_key: str
    ) -> Sequence[str]:
        """The recovery codes, none where those from before stay good. Raises Denied with code `invalid_code`."""
        ...

    async def make_recovery_codes(self, viewer: Viewer, *, client: Client, idempotency_key: str) -> Sequence[str]: ...

    async def remove_second_factor(self, viewer: Viewer, *, client: Client) -> None: ...

    async def change_password(
        self, viewer: Viewer, *, current_password: str, password: str, client: Client, idempotency_key: str
    ) -> None:
        """Raises Denied on `current_password` when that is wrong, TooMuch after many wrong ones."""
        ...
