"""Sample data behind the pages about operators who act in somebody's name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from prog_contracts.errors import Conflict, Denied, Invalid
from prog_edge.web.ports import Acting, ImpersonationRow, ListQuery, Page, SessionCookie, Viewer
from tests.unit.edge.web.sample_console import sample_id

ACTING = "acting"
"""The cookie with which the operator acts as Ada."""
IMPERSONATION = sample_id("impersonation", 1)
REASON = "Ticket 4711: the invoice page is empty"


@dataclass
class SampleImpersonations:
    """`fresh` says whether the operator has signed in just now, `staff` and `ending` what the account is."""

    empty: bool = False
    fresh: bool = True
    staff: bool = False
    ending: bool = False
    done: list[tuple[str, ...]] = field(default_factory=list)
    cookie_name: str = "prog_impersonation"

    async def open(self, cookie: str, operator: Viewer) -> Viewer | None:
        if cookie != ACTING or not operator.is_operator:
            return None
        return replace(
            operator,
            user_id=sample_id("user", 1),
            email="ada@example.com",
            name="Ada Lovelace",
            session_id=IMPERSONATION,
            platform_role=None,
            acting=Acting(IMPERSONATION, operator.user_id, REASON, datetime.now(UTC) + timedelta(minutes=12)),
        )

    async def begin(
        self, viewer: Viewer, user_id: str, *, reason: str, minutes: str, idempotency_key: str
    ) -> SessionCookie:
        if not self.fresh:
            raise Denied("Sign in again first.", code="fresh_sign_in_required")
        if self.staff:
            raise Denied("Nobody acts in the name of one of the platform's staff.", code="staff_not_impersonated")
        if self.ending:
            raise Conflict("This account is to be deleted.", code="account_not_impersonated")
        if not reason:
            raise Invalid.field("reason", "required", "Say why, in 500 characters at most: it is recorded.")
        if minutes not in ("5", "15", "30", "60"):
            raise Invalid.field("minutes", "out_of_range", "Choose 1 to 60 minutes.")
        self.done.append(("begin", user_id, reason, minutes))
        return SessionCookie(ACTING, int(minutes) * 60)

    async def end(self, viewer: Viewer, impersonation_id: str) -> None:
        self.done.append(("end", viewer.name, impersonation_id))

    async def listed(self, viewer: Viewer, query: ListQuery) -> Page[ImpersonationRow]:
        now = datetime.now(UTC).replace(microsecond=0)
        ada, grace, operator = sample_id("user", 1), sample_id("user", 3), sample_id("user", 2)
        long = "The customer asked on the phone why a colleague cannot see the invoices of last month " * 3
        rows = [
            ImpersonationRow(
                IMPERSONATION, ada, "Ada Lovelace", operator, "First Administrator", REASON,
                now - timedelta(minutes=3), now + timedelta(minutes=12), None, None,
            ),
            ImpersonationRow(
                sample_id("impersonation", 2), grace, "Grace Hopper", sample_id("user", 9), None, long.strip(),
                now - timedelta(days=2), now - timedelta(days=2, minutes=-15), now - timedelta(days=2, minutes=-15),
                "time_limit",
            ),
        ]  # fmt: skip
        wanted = {"active": rows[:1], "over": rows[1:]}.get(query.filters.get("state", ""), rows)
        return Page([] if self.empty or query.search == "nobody" else wanted)
