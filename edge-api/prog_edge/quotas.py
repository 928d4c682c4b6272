"""What a tenant uses of its plan, counted where it is kept; and the gate for events, which no domain counts in time.

Events are counted by the monitoring domain as they pass. What is looked up is a second old at most, and what passes
takes moments to be counted, so a burst may go beyond the limit by what is published meanwhile.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from prog_contracts.errors import ProgError
from prog_contracts.quotas import QuotaName, limits_of, reached, refusal
from prog_contracts.tenants import NoteUsage
from prog_edge.directory import Remembered
from prog_edge.limits.commands import Commands
from prog_kit.database import FAILURES, Database
from prog_kit.logging import get
from prog_workers.tenants import queries as tenants
from prog_workers.tenants.queries import custom_domains
from prog_workers.users.queries import api_keys

ACTOR: Final = "prog-edge"
FRESH_SECONDS: Final = 1.0
MAX_TOLD: Final = 10_000

_log = get("prog_edge.quotas")


@dataclass(frozen=True, slots=True)
class Use:
    """How much of a limit is used; what is counted by the month begins anew at `resets_at`."""

    name: QuotaName
    used: int
    limit: int | None
    resets_at: datetime | None = None

    @property
    def percent(self) -> int | None:
        """Of the limit, rounded down; None without one."""
        return None if not self.limit else self.used * 100 // self.limit


class Quotas:
    def __init__(self, database: Database, commands: Commands) -> None:
        self._database = database
        self._commands = commands
        self._events: Remembered[int] = Remembered(self._published, fresh_seconds=FRESH_SECONDS)
        self._told: OrderedDict[tuple[str, str, int], None] = OrderedDict()

    async def uses(self, tenant_id: str, now: datetime) -> list[Use]:
        """All that is counted. `now` is on the tenant's clock, by which invitations expire."""
        from prog_workers.monitoring import queries as monitoring  # brings NumPy, as in `services`

        month = month_of(datetime.now(UTC))
        async with self._database.scope(tenant_id=tenant_id) as connection:
            tenant = await tenants.tenant(connection, tenant_id)
            limits = limits_given(tenant.plan if tenant else None, await tenants.limits(connection, tenant_id))
            seats = await tenants.seats_taken(connection, tenant_id, now)
            keys = await api_keys.count_api_keys(connection, tenant_id, datetime.now(UTC))
            named = await custom_domains.count_custom_domains(connection, tenant_id)
            events = await monitoring.events_published(connection, tenant_id, month)
        return [
            Use("members", seats, limits.get("members")),
            Use("api_keys", keys, limits.get("api_keys")),
            Use("events_per_month", events, limits.get("events_per_month"), _next_month(month)),
            Use("custom_domains", named, limits.get("custom_domains")),
        ]

    async def admit_events(self, tenant_id: str, limit: int | None, wanted: int) -> None:
        """Raises Conflict with code `event_limit` when these are more than are left of the month."""
        if limit is None:
            return
        used = await self._events.get(tenant_id) or 0
        refused = refusal("events_per_month", limit, used, wanted)
        mark = reached(limit, used + wanted if refused is None else limit)
        if mark is not None:
            await self._tell(tenant_id, limit, used + wanted, mark)
        if refused is not None:
            raise refused

    async def _published(self, tenant_id: str) -> int:
        from prog_workers.monitoring import queries as monitoring

        async with self._database.scope(tenant_id=tenant_id) as connection:
            return await monitoring.events_published(connection, tenant_id, month_of(datetime.now(UTC)))

    async def _tell(self, tenant_id: str, limit: int, used: int, mark: int) -> None:
        """Has the owners told, once an edge; the domain tells them once in all."""
        month = month_of(datetime.now(UTC)).isoformat()
        told = (tenant_id, f"{month} {limit}", mark)
        if told in self._told:
            return
        command = NoteUsage(
            tenant_id=tenant_id, quota="events_per_month", limit=limit, used=min(used, limit), period=month
        )
        try:
            await self._commands.request(command, tenant_id=tenant_id, actor=ACTOR, wait_seconds=0)
        except (ProgError, *FAILURES) as error:
            _log.info("owners are told of their usage later", error=repr(error))
            return
        self._told[told] = None
        if len(self._told) > MAX_TOLD:
            self._told.popitem(last=False)


def limits_given(plan: str | None, given: Mapping[str, int | None]) -> Mapping[str, int | None]:
    """What a tenant was given; what its plan allows of a thing that had no limit then."""
    return dict[str, int | None](limits_of(plan).items()) | dict(given)


def month_of(now: datetime) -> date:
    """The first day of the month, in UTC. Plans count by the wall clock, also where the tenant has a test clock."""
    return now.astimezone(UTC).date().replace(day=1)


def _next_month(month: date) -> datetime:
    year, following = (month.year + 1, 1) if month.month == 12 else (month.year, month.month + 1)
    return datetime(year, following, 1, tzinfo=UTC)
