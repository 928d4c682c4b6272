"""A tenant that can buy, with what its people would do and what the tables then say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from prog_broker.decoding import Incoming, decode
from prog_broker.ports import Delivery, Shard
from prog_broker.replies import Answer
from prog_contracts.envelope import Envelope
from prog_contracts.ids import new_id
from prog_contracts.messages import Command
from prog_contracts.payments import AttachPaymentMethod, CreateSubscription, PayInvoice
from prog_contracts.tenants import TenantCreated
from prog_contracts.topics import TOPICS
from tests.component.harness import TOKEN, Harness

START = datetime(2027, 1, 31, 9, 30, tzinfo=UTC)
STARTER = "price_01m836mz1cee6vnez47h8wazmj"
GROWTH = "price_01m836mz1cee6vnez47p41kqnx"
SCALE = "price_01m836mz1cee6vnez47s99cg0m"
GROWTH_YEARLY = "price_01m836mz1cee6vnez47zmnryc6"

HEADS = """
SELECT * FROM bus.retries AS r
WHERE r.consumer_group = 'payments' AND r.state IN ('retry', 'waiting') AND NOT EXISTS (
    SELECT FROM bus.retries AS earlier
    WHERE (earlier.consumer_group, earlier.topic, earlier.partition_key) = (r.consumer_group, r.topic, r.partition_key)
      AND earlier.position < r.position
)
ORDER BY r.position LIMIT 1
"""


@dataclass(slots=True)
class Tenant:
    """A tenant on a test clock, with what its people would do."""

    platform: Harness
    id: str
    now: datetime

    async def request(self, command: Command) -> Answer:
        """Sends a command and settles all that follows."""
        answer = await self.platform.request(command, tenant_id=self.id)
        await self.platform.settle()
        return answer

    async def subscribe(self, card: str | None = "pm_ok", *, price: str = STARTER, quantity: int = 1) -> str:
        """A new subscription's id; the answer was a success."""
        command = CreateSubscription(
            subscription_id=new_id("subscription"), price_id=price, payment_method=card, quantity=quantity
        )
        answer = await self.request(command)
        assert answer.status == "succeeded", answer
        return command.subscription_id

    async def add_card(self, token: str) -> Answer:
        return await self.request(AttachPaymentMethod(payment_method_id=new_id("method"), token=token))

    async def pay(self, invoice_id: str) -> Answer:
        return await self.request(PayInvoice(invoice_id=invoice_id))

    async def move_to(self, at: datetime) -> int:
        """Moves the clock, from timer to timer; returns how many fired."""
        self.now = at
        return await self.platform.fire_timers(self.id, at)

    async def wait(self, **span: float) -> int:
        return await self.move_to(self.now + timedelta(**span))

    async def run_late(self, at: datetime) -> int:
        """The clock is at `at` already when the timers that were due before fire, as after an outage; how many did."""
        self.now = at
        await self.platform.set_clock(self.id, at)
        fired = 0
        while row := await self.platform.admin.fetchrow(
            "DELETE FROM bus.timers WHERE (tenant_id, domain, name) = (SELECT tenant_id, domain, name FROM bus.timers"
            " WHERE tenant_id = $1 AND due_at <= $2 ORDER BY due_at LIMIT 1) RETURNING *",
            self.id,
            at,
        ):
            fired += 1
            await self.platform.deliver(Envelope.parse(row["attributes"].encode(), row["data"]), row["domain"])
            await self.platform.settle()
        return fired

    async def retry(self) -> None:
        """Runs what was put off, as the retry pump would when it is due: the first in the line of each key."""
        processor = self.platform.processors["payments"]
        while rows := await self.platform.fetch(HEADS):
            row = rows[0]
            shard = Shard("payments", TOPICS[row["topic"]], row["partition"])
            item = decode(processor.domain, shard, Delivery(b"", row["attributes"].encode(), row["data"]))
            assert isinstance(item, Incoming)
            item.attempts = row["attempts"]
            await processor.settle_one(shard, TOKEN, item, retrying=True)
        await self.platform.settle()

    async def rows(self, query: str) -> Sequence[Any]:
        """Rows of a query about this tenant, whose id is $1."""
        return await self.platform.fetch(query, self.id)

    async def subscription(self, subscription_id: str) -> Any:
        rows = await self.platform.fetch("SELECT * FROM payments.subscriptions WHERE id = $1", subscription_id)
        return rows[0]

    async def invoices(self) -> Sequence[Any]:
        return await self.rows("SELECT * FROM payments.invoices WHERE tenant_id = $1 ORDER BY issued_at, number")

    async def charges(self) -> Sequence[Any]:
        """What the sandbox's own books say, oldest first."""
        return await self.platform.fetch("SELECT * FROM payments.sandbox_charges ORDER BY recorded_at, reference")

    async def balances(self) -> dict[str, int]:
        """The balance of each account of the ledger; debit above zero."""
        rows = await self.rows(
            "SELECT account, sum(amount_minor)::bigint AS balance FROM payments.ledger_entries WHERE tenant_id = $1"
            " GROUP BY account"
        )
        return {row["account"]: row["balance"] for row in rows if row["balance"]}


async def new_tenant(platform: Harness, name: str = "Acme Ltd", at: datetime = START) -> Tenant:
    tenant_id = new_id("tenant")
    await platform.set_clock(tenant_id, at)
    await platform.publish(
        TenantCreated(
            tenant_id=tenant_id,
            name=name,
            slug="acme",
            status="active",
            created_at=at,
            owner_user_id=new_id("user"),
            owner_email="ada@acme.example",
            owner_name="Ada Lovelace",
        ),
        tenant_id=tenant_id,
    )
    return Tenant(platform, tenant_id, at)
