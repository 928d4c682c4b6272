"""Publish and consume from a program of your own: `Bus`.

    bus = Bus("redis://localhost:6379/0")

    @bus.subscribe(TenantUpdated, group="crm")
    async def on_update(event: TenantUpdated) -> None: ...

    asyncio.run(bus.run())

It needs the broker alone, not the platform's database. What stands behind is one concept a file:

- `application`    `Bus`: publish, request, subscribe, run
- `subscriptions`  which handler takes what, in which group
- `delivering`     from a batch of bytes to handled, retried, dropped or dead: the same for every broker
- `leases`         who owns which shard on Redis: expiry on the server's clock, fencing by WATCH
- `redis`          reading, keeping positions, dead letters and replies on Redis streams
- `kafka`          the same on Kafka, by the group's own assignment
- `brokers`        which of the two it is
- `inbox`          effects once, in a PostgreSQL of your own
"""

from prog_broker.bus.application import Bus
from prog_broker.bus.inbox import PostgresInbox
from prog_broker.bus.subscriptions import Context, Drop, Retry

__all__ = ["Bus", "Context", "Drop", "PostgresInbox", "Retry"]
