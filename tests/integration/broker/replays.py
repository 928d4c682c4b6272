"""A projection that shows every mistake, for tests of replays: one row a tenant, a count and a digest over all names.

A message that is missing, doubled or out of order changes the row for good. Also a program: a worker process that
serves it, for tests that kill it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

import asyncpg

from prog_broker import Domain, Transaction
from prog_broker.replaying import Scope
from prog_broker.worker import Worker
from prog_contracts.envelope import wrap
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_kit.database import Connection
from prog_kit.settings import Settings

TABLE: Final = """
CREATE TABLE payments.chain (tenant_id text PRIMARY KEY, names bigint NOT NULL, digest text NOT NULL);
CREATE TABLE payments.latest (tenant_id text NOT NULL, message_id uuid NOT NULL, PRIMARY KEY (tenant_id, message_id));
GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON payments.chain, payments.latest TO prog_payments;
"""

CHAIN: Final = """
INSERT INTO payments.chain AS c (tenant_id, names, digest) VALUES ($1, 1, md5($2))
ON CONFLICT (tenant_id) DO UPDATE SET names = c.names + 1, digest = md5(c.digest || $2)
"""


def renaming() -> Domain:
    """`tenants`: renames, as the source of live events."""
    tenants = Domain("tenants")

    @tenants.handles(RenameTenant)
    async def rename(command: RenameTenant, tx: Transaction) -> TenantUpdated:
        return TenantUpdated(tenant_id=command.tenant_id, name=command.name, status="active")

    return tenants


def chaining(*, slowly_seconds: float = 0.0) -> Domain:
    """`payments`: chains the names of each tenant. Names with `bad` in them cannot be chained."""
    payments = Domain("payments")

    @payments.handles(TenantUpdated, replay="rebuild")
    async def chain(event: TenantUpdated, tx: Transaction) -> None:
        if "bad" in event.name:
            raise RuntimeError("a defect of the handler")
        if slowly_seconds:
            await asyncio.sleep(slowly_seconds)
        await tx.execute(CHAIN, event.tenant_id, event.name)

    @payments.resets
    async def empty(connection: Connection, scope: Scope) -> None:
        if scope.tenant_id is None:
            await connection.execute("TRUNCATE payments.chain")
        else:
            await connection.execute("DELETE FROM payments.chain WHERE tenant_id = $1", scope.tenant_id)

    return payments


async def write_history(
    admin: asyncpg.Connection[asyncpg.Record], tenants: Sequence[str], count: int, *, name: str = "n"
) -> list[UUID]:
    """Appends `count` events to the log as if the tenants domain had, tenant after tenant; returns their ids."""
    ids: list[UUID] = []
    for start in range(0, count, 10_000):
        envelopes = [
            wrap(
                TenantUpdated(tenant_id=tenants[number % len(tenants)], name=f"{name}{number}", status="active"),
                tenant_id=tenants[number % len(tenants)],
                source="/test",
            )
            for number in range(start, min(count, start + 10_000))
        ]
        await admin.execute(
            """
            INSERT INTO bus.event_log (message_id, kind, topic, source_domain, type, schema_version, tenant_id,
                                       partition_key, subject, correlation_id, occurred_at, data)
            SELECT u.id, 'event', 'prog.tenants.events', 'tenants', $5, 1, u.tenant, u.tenant, u.tenant, u.id, u.at,
                   u.data
            FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::bytea[])
                 WITH ORDINALITY AS u (id, tenant, at, data, n)
            ORDER BY u.n
            """,
            [e.id for e in envelopes],
            [e.tenant_id for e in envelopes],
            [e.time for e in envelopes],
            [e.data for e in envelopes],
            TenantUpdated.TYPE,
        )
        ids += [e.id for e in envelopes]
    return ids


async def expected(admin: asyncpg.Connection[asyncpg.Record]) -> dict[str, tuple[int, str]]:
    """What the projection must be: the log of each tenant, chained here."""
    import hashlib

    rows = await admin.fetch(
        "SELECT tenant_id, convert_from(data, 'UTF8')::jsonb ->> 'name' AS name FROM bus.event_log AS e"
        " WHERE type = $1 ORDER BY e.txid, e.position",
        TenantUpdated.TYPE,
    )
    chains: dict[str, tuple[int, str]] = {}
    for row in rows:
        names, digest = chains.get(row["tenant_id"], (0, ""))
        text = (digest + row["name"]).encode()
        chains[row["tenant_id"]] = (names + 1, hashlib.md5(text, usedforsecurity=False).hexdigest())
    return chains


async def chained(admin: asyncpg.Connection[asyncpg.Record]) -> dict[str, tuple[int, str]]:
    """What the projection is."""
    rows = await admin.fetch("SELECT * FROM payments.chain")
    return {row["tenant_id"]: (row["names"], row["digest"]) for row in rows}


def settings_of(environment: dict[str, Any], name: str) -> Settings:
    return Settings(
        database_url=environment["database_url"],
        redis_url=environment["redis_url"],
        secret_keys=("0123456789abcdef" * 4,),
        lease_seconds=1.0,
        process_name=name,
    )


if __name__ == "__main__":
    given = {"database_url": os.environ["DATABASE_URL"], "redis_url": os.environ["REDIS_URL"]}
    asyncio.run(Worker([chaining(slowly_seconds=0.001)], settings_of(given, sys.argv[1])).run())
