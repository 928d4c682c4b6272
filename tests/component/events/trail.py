"""An audit trail to try things on: a platform of a stand-in domain, its recorder, and a hand that may do anything."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from prog_broker.domain import Domain
from prog_broker.outcome import Reply
from prog_broker.transaction import Transaction
from prog_contracts.errors import Conflict, Denied
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant, TenantUpdated
from prog_contracts.users import RevocationDenied
from prog_kit.database import Connection, Database
from prog_workers.events import queries
from prog_workers.events.audit.recording import Recorder
from prog_workers.events.audit.signing import Head, Signer
from prog_workers.events.audit.verifying import Verified, verify
from prog_workers.events.queries import AuditRow
from tests.component.harness import SECRET_KEYS, Harness
from tests.lasting import kept

OURS, THEIRS = new_id("tenant"), new_id("tenant")
ADA, BOB = new_id("user"), new_id("user")

tenants = Domain("tenants")


@tenants.handles(RenameTenant)
async def rename(command: RenameTenant, tx: Transaction) -> Reply:
    """A stand-in whose behaviour hangs on the name."""
    if command.name == "taken":
        raise Conflict("The name is taken.", code="name_taken")
    if command.name == "denied":
        raise Denied("You may not.")
    if command.name == "broken":
        raise RuntimeError("a defect")
    if command.name == "told":
        event = RevocationDenied(user_id=ADA, by_session_id=new_id("session"))
        return Reply(None, event, error=Denied("You may not.", code="sign_in_again"))
    updated = TenantUpdated(tenant_id=command.tenant_id, name=command.name, status="active")
    return Reply(updated, updated)


class Trail:
    """The trail of a platform. `admin` may do anything, as whoever gets hold of the database's owner may."""

    def __init__(self, platform: Harness, database: Database, reader: Database) -> None:
        self.platform = platform
        self.database = database
        self.reader = reader
        self.signer = Signer(SECRET_KEYS)
        self.recorder = Recorder(database, self.signer, hold_seconds=0, batch=4)

    @property
    def admin(self) -> asyncpg.Connection[Any]:
        admin: asyncpg.Connection[Any] = self.platform.admin
        return admin

    async def rename(self, name: str, tenant_id: str = OURS, actor: str | None = ADA) -> Any:
        command = RenameTenant(tenant_id=tenant_id, name=name)
        return await self.platform.request(command, tenant_id=tenant_id, actor=actor)

    async def record(self) -> None:
        while await self.recorder.record():
            pass

    async def entries(self, tenant_id: str = OURS, **filters: Any) -> list[AuditRow]:
        """As the tenant sees them, the oldest first."""
        async with self.reader.scope(tenant_id=tenant_id) as connection:
            return list(reversed((await queries.audit_entries(connection, **filters)).rows))

    async def verified(self, anchors: Mapping[str, Head] | None = None, signer: Signer | None = None) -> list[Verified]:
        found: dict[str, Verified] = {}
        async with self.reader.operator() as connection:
            async for chain in verify(connection, signer or self.signer, anchors=anchors, page=3):
                found[chain.tenant_id] = chain
        return list(found.values())

    async def ours(self, anchors: Mapping[str, Head] | None = None, signer: Signer | None = None) -> Verified:
        [chain] = [chain for chain in await self.verified(anchors, signer) if chain.tenant_id == OURS]
        return chain

    @asynccontextmanager
    async def past_every_rule(self) -> AsyncIterator[asyncpg.Connection[Any]]:
        """With the triggers off, which takes a superuser."""
        await self.admin.execute("SET session_replication_role = replica")
        try:
            yield self.admin
        finally:
            await self.admin.execute("RESET session_replication_role")


@asynccontextmanager
async def trail_of(platform: Harness) -> AsyncIterator[Trail]:
    async with (
        kept().database(platform.url, "prog_events") as database,
        kept().database(platform.url, "prog_edge") as reader,
    ):
        yield Trail(platform, database, reader)


async def as_auditor(connection: Connection) -> None:
    await connection.execute("SET LOCAL ROLE prog_auditor")
