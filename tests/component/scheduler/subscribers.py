"""Tenants whose subscriptions renew every thirty days: one timer fires, its handler schedules the next."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from prog_broker.domain import Domain
from prog_broker.replies import Answer
from prog_broker.transaction import Transaction
from prog_contracts.errors import Unavailable
from prog_contracts.ids import new_id
from prog_contracts.payments import PayInvoice, RenewSubscription
from prog_contracts.tenants import AdvanceClock, CreateTenant, SetClock
from prog_kit.database import Database
from prog_kit.tasks import cancelled
from prog_scheduler import clocks
from prog_workers.tenants.handlers import tenants
from tests.component.harness import Harness

START = datetime(2027, 1, 31, tzinfo=UTC)
PERIOD = timedelta(days=30)
PROCESS = "test-process"


@dataclass
class Subscribers:
    """What the stand-in domain did: `renewed` has tenant, key and the instant on the tenant's clock."""

    renewed: list[tuple[str, str, datetime]] = field(default_factory=list)
    paid: list[tuple[str, datetime]] = field(default_factory=list)
    fail: Callable[[PayInvoice], Exception | None] = lambda _: None

    def __post_init__(self) -> None:
        payments = Domain("payments")

        @payments.handles(RenewSubscription)
        async def renew(command: RenewSubscription, tx: Transaction) -> PayInvoice:
            self.renewed.append((tx.tenant_id, command.subscription_id, tx.now))
            following = command.model_copy(update={"period_start": tx.now})
            await tx.schedule(f"renew:{command.subscription_id}", following, tx.now + PERIOD)
            return PayInvoice(invoice_id=new_id("invoice"))

        @payments.handles(PayInvoice)
        async def pay(command: PayInvoice, tx: Transaction) -> None:
            error = self.fail(command)
            if error is not None:
                raise error
            self.paid.append((tx.tenant_id, tx.now))

        self.domains = (tenants, payments)

    async def begin(self, platform: Harness) -> None:
        self.platform = platform
        for domain in self.domains:
            for kind in domain.registrations:
                await platform.fetch("INSERT INTO bus.subscriptions VALUES ($1, $2)", domain.name, kind)

    async def tenant(self, *, clock_at: datetime | None = START) -> str:
        """A tenant that is open, on a test clock or (None) on the wall clock."""
        tenant_id = new_id("tenant")
        created = CreateTenant(
            tenant_id=tenant_id, name="Acme", owner_user_id=new_id("user"), owner_email="o@example.com", owner_name="O"
        )
        await self.platform.request(created, tenant_id=tenant_id, actor=PROCESS)
        await self.platform.settle()
        if clock_at is not None:
            await self.platform.request(SetClock(tenant_id=tenant_id, at=clock_at), tenant_id=tenant_id, actor=PROCESS)
            await self.platform.settle()
        return tenant_id

    async def subscribe(self, tenant_id: str) -> str:
        """Starts a subscription: it renews now, and from then on by its timer."""
        subscription_id = new_id("subscription")
        command = RenewSubscription(subscription_id=subscription_id, period_start=START)
        await self.platform.request(command, tenant_id=tenant_id)
        await self.platform.settle()
        return subscription_id

    async def ask_to_advance(self, tenant_id: str, to: datetime) -> Answer:
        answer = await self.platform.request(
            AdvanceClock(tenant_id=tenant_id, to=to), tenant_id=tenant_id, actor=PROCESS
        )
        assert answer.status == "pending", answer
        return answer

    async def walk(self, scheduler: Database, tenant_id: str, budget_seconds: float = 10.0) -> clocks.Walk:
        return await clocks.walk(scheduler, tenant_id, nobody, budget_seconds=budget_seconds)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Workers that handle whatever is in the event log until the block ends."""

        async def work() -> None:
            while True:
                await self.platform.settle(limit=100_000)
                await asyncio.sleep(0.002)

        task = asyncio.create_task(work())
        try:
            yield
        finally:
            await cancelled([task])


async def nobody() -> None:
    """Nobody is to be woken: the test's workers look by themselves."""


def unavailable(_: PayInvoice) -> Exception:
    return Unavailable("the gateway does not answer")


def broken(_: PayInvoice) -> Exception:
    return RuntimeError("a defect")
