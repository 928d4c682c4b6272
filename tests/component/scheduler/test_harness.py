"""The tests' own platform misses nothing, whatever order transactions end in."""

from prog_contracts.payments import PayInvoice
from tests.component.scheduler.subscribers import Subscribers
from tests.lasting import kept

_AGAIN = """
INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
                           correlation_id, occurred_at, data)
SELECT gen_random_uuid(), kind, topic, source_domain, type, schema_version, tenant_id, partition_key,
       correlation_id, occurred_at, data
FROM bus.event_log WHERE type = $1 LIMIT 1
RETURNING position
"""
_NEWEST = "SELECT max(position) FROM bus.event_log"


async def test_what_is_written_first_and_committed_later_is_delivered(subscribers: Subscribers, postgres: str) -> None:
    tenant_id = await subscribers.tenant()
    await subscribers.subscribe(tenant_id)
    async with kept().administrator(postgres) as other, other.transaction():
        earlier = await other.fetchval(_AGAIN, PayInvoice.TYPE)
        await subscribers.subscribe(tenant_id)
        assert earlier < await subscribers.platform.admin.fetchval(_NEWEST)
        paid = len(subscribers.paid)
    assert await subscribers.platform.settle() == 1
    assert len(subscribers.paid) == paid + 1
    assert await subscribers.platform.settle() == 0
