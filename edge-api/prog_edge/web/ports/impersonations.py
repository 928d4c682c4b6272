"""What pages need of operators who act in somebody's name."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from prog_contracts.impersonation import ImpersonationEnd
from prog_edge.web.ports.shared import ListQuery, Page, SessionCookie, Viewer


@dataclass(frozen=True, slots=True)
class ImpersonationRow:
    """`over_at` is None for one that goes on, `operator_name` for an operator whose account is gone."""

    id: str
    user_id: str
    user_name: str
    operator_id: str
    operator_name: str | None
    reason: str
    began_at: datetime
    expires_at: datetime
    over_at: datetime | None
    end: ImpersonationEnd | None


class ImpersonationsBackend(Protocol):
    """A second cookie beside that of the operator's session, without which it is worth nothing."""

    @property
    def cookie_name(self) -> str: ...

    async def open(self, cookie: str, operator: Viewer) -> Viewer | None:
        """The person in whose name the operator acts, as `Viewer.acting` tells; None when that is over, or is
        another operator's."""
        ...

    async def begin(
        self, viewer: Viewer, user_id: str, *, reason: str, minutes: str, idempotency_key: str
    ) -> SessionCookie:
        """Raises Denied with code `fresh_sign_in_required`, or for one of the staff; Conflict for an account that is
        disabled or to be deleted."""
        ...

    async def end(self, viewer: Viewer, impersonation_id: str) -> None:
        """By an operator, or by whoever acts in it."""
        ...

    async def listed(self, viewer: Viewer, query: ListQuery) -> Page[ImpersonationRow]:
        """For operators, the latest first."""
        ...
