"""What the security page needs: the second factor of one's account, one's password, and the account's end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from markupsafe import Markup
from starlette.responses import Response

from prog_contracts.tenants import TenantRole, TenantStatus
from prog_contracts.users import PlatformRole
from prog_edge.web.ports.shared import Client, Page, PasskeyOffer, Viewer


@dataclass(frozen=True, slots=True)
class SecondFactorView:
    """The viewer's second factors. `enrolled_at` is the authenticator app's, None where there are passkeys alone."""

    enrolled_at: datetime | None
    codes_left: int
    codes_made_at: datetime | None


@dataclass(frozen=True, slots=True)
class PasskeyView:
    """`backed_up` is one that is kept beyond its device, so that it is not lost with it."""

    id: str
    name: str
    backed_up: bool
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Membership:
    """A tenant that somebody belongs to, with their role there."""

    tenant_id: str
    name: str
    status: TenantStatus
    role: TenantRole
    joined_at: datetime


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """Somebody's account, as an operator sees it. `own` is the operator's own."""

    id: str
    name: str
    email: str
    email_verified: bool
    status: str
    platform_role: PlatformRole | None
    created_at: datetime
    app_since: datetime | None
    passkeys: int
    own: bool
    tenants: Sequence[Membership] = ()

    @property
    def has_second_factor(self) -> bool:
        return self.app_since is not None or self.passkeys > 0


@dataclass(frozen=True, slots=True)
class EnrolmentView:
    """An app to set up: its secret to scan or to type in. `kept` is the same, sealed, for the form to bring back."""

    secret: str
    uri: str
    qr: Markup
    kept: str


@dataclass(frozen=True, slots=True)
class ActivityEntry:
    """Something that the viewer did, or that was done to their account: `text` and `by` in words."""

    at: datetime
    text: str
    by: str
    outcome: Literal["success", "failure", "denial"]
    count: int
    client_address: str | None
    device: str | None


@dataclass(frozen=True, slots=True)
class OwnedAlone:
    """A tenant that would have no owner without the viewer."""

    tenant_id: str
    name: str


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

    async def passkeys(self, viewer: Viewer) -> Sequence[PasskeyView]: ...

    async def passkey_offer(self, viewer: Viewer) -> PasskeyOffer:
        """To make a passkey."""
        ...

    async def add_passkey(
        self, viewer: Viewer, *, name: str, token: str, credential: str, client: Client, idempotency_key: str
    ) -> Sequence[str]:
        """The recovery codes, none where those from before stay good.

        Raises Denied with code `passkey_challenge_over` when the offer is not good any more.
        """
        ...

    async def facts_of(self, viewer: Viewer, user_id: str) -> PersonFacts:
        """For operators. Raises NotFound when there is nobody with this id."""
        ...

    async def reset_second_factor(self, viewer: Viewer, user_id: str, *, reason: str, idempotency_key: str) -> None:
        """For operators: takes all second factors of somebody away who has lost them; their sessions end."""
        ...

    async def rename_passkey(self, viewer: Viewer, passkey_id: str, name: str) -> None: ...

    async def remove_passkey(self, viewer: Viewer, passkey_id: str, *, client: Client) -> None: ...

    async def change_password(
        self, viewer: Viewer, *, current_password: str, password: str, client: Client, idempotency_key: str
    ) -> None:
        """Raises Denied on `current_password` when that is wrong, TooMuch after many wrong ones."""
        ...

    async def needed_by(self, viewer: Viewer) -> Sequence[OwnedAlone]:
        """The tenants that are in the way of deleting the account."""
        ...

    async def delete_account(self, viewer: Viewer, *, idempotency_key: str) -> datetime:
        """Until when it can be restored. Raises Conflict with code `last_owner`."""
        ...

    async def restore_account(self, viewer: Viewer, *, idempotency_key: str) -> None: ...

    async def export(self, viewer: Viewer, *, client: Client, idempotency_key: str) -> Response:
        """The file with the viewer's data, which goes as it comes. Raises Conflict a moment after another one."""
        ...

    async def activity(self, viewer: Viewer, cursor: str | None) -> Page[ActivityEntry]:
        """The last written first. Raises Invalid for a cursor of another list."""
        ...
