"""What the edge works with: pools, the broker, keys, sessions, the tail. One a process, found by every request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Self

from prog_broker.client import CommandClient
from prog_broker.ports import Transport
from prog_broker.redis.connection import OUTAGES, Client, connect, reconnect_delay_seconds
from prog_broker.transport import open_transport
from prog_contracts.errors import Unavailable, from_body
from prog_contracts.ids import PLATFORM_TENANT_ID, is_id
from prog_contracts.messages import Command
from prog_edge.audit.feed import AuditFeed
from prog_edge.callers import Callers
from prog_edge.drain import Drain
from prog_edge.export_room import ExportRoom
from prog_edge.federation import Federation, SignOnProvider
from prog_edge.handover import Handover
from prog_edge.idempotency import IdempotencyKeys
from prog_edge.key_uses import KeyUses
from prog_edge.keyring import HeldKey, KeyRing, mode_of
from prog_edge.known import Known
from prog_edge.limits.admission import Admission, Limits
from prog_edge.limits.attempts import Attempts
from prog_edge.limits.backlog import BacklogWatch
from prog_edge.limits.commands import Commands
from prog_edge.limits.rates import RateLimits
from prog_edge.oauth.clients import ClientRing
from prog_edge.operations import Operations
from prog_edge.passkeys import PasskeyOffers
from prog_edge.quotas import Quotas
from prog_edge.sessions import BrowserSessions
from prog_edge.sse import HEARTBEAT_SECONDS
from prog_edge.tail import EventTail
from prog_edge.tokens import Keys, PublicKeys, TokenVerifier, ed25519_key
from prog_kit.database import OUTAGES as DATABASE_OUTAGES
from prog_kit.database import Database
from prog_kit.hosts import hosts_of
from prog_kit.logging import get
from prog_kit.outbound import MOST_OF_A_STRANGER, Outbound
from prog_kit.passkeys import RelyingParty
from prog_kit.secrets import Sealer, SealError
from prog_kit.settings import Settings
from prog_workers.tenants import queries as tenants
from prog_workers.users import queries as users

_log = get("prog_edge.platform")
_ROLE: Final = "prog_edge"
STATEMENT_SECONDS: Final = 20.0
"""No request waits longer for a statement: whoever asks for too much keeps no connection from the others."""


@dataclass(frozen=True, slots=True)
class Servers:
    """What was connected to before there is a platform, and is closed with it."""

    database: Database
    reader: Database
    redis: Client
    transport: Transport
    client: CommandClient


class Platform(Known):
    """Everything that outlives a request."""

    def __init__(self, settings: Settings, drain: Drain, sealer: Sealer, servers: Servers) -> None:
        super().__init__(servers.database, servers.reader)
        self.settings = settings
        self.drain = drain
        self.sealer = sealer
        self.redis = servers.redis
        self.transport = servers.transport
        self.client = servers.client
        self.signing_key = bytes.fromhex(sealer.digest("forms", "edge"))
        self.heartbeat_seconds = HEARTBEAT_SECONDS
        """How often a live stream shows that it is there, and looks whether its reader may still read."""

        admission = Admission(Limits(settings.backlog_limit, settings.tenant_in_flight_limit))
        self.backlog = BacklogWatch(self.transport, admission)
        self.audit = AuditFeed(self.database)
        self.commands = Commands(self.client, admission, self.audit)
        self.idempotency = IdempotencyKeys(self.database, sealer)
        self.operations = Operations(self.redis)
        self.export_room = ExportRoom()
        self.quotas = Quotas(self.database, self.commands)
        self.tail = EventTail(self.database, drain, self.redis)
        drain.on_start(self.tail.end_all)

        factor = settings.effective_rate_limit_factor
        self.rates = RateLimits(self.redis, mode=settings.rate_limits, factor=factor)
        self.attempts = Attempts(self.redis, mode=settings.rate_limits, factor=factor)

        self.tokens = TokenVerifier(PublicKeys(self._public_keys), settings.public_url)
        secure = settings.public_url.startswith("https://")
        self.sessions = BrowserSessions(sealer, self.tokens, self.is_live, _Asks(self.commands), secure=secure)
        self.keyring = KeyRing(self.database, mode_of(settings.env), self.people, self.memberships)
        self.key_uses = KeyUses(self.commands)
        self.clients = ClientRing(self.database, self.people, self.memberships)
        self.callers = Callers(
            self.tokens,
            self.is_live,
            self.sessions,
            self.signing_key,
            self.keyring,
            self.clients,
            self.key_uses,
            self.rates,
        )
        self.passkeys = PasskeyOffers(RelyingParty.of(settings), sealer)
        self.federation = _federation(settings, sealer, self.database)
        self.handover = Handover(sealer, self.hosts, hosts_of(settings), self.passkeys.party.origins[0])

    @classmethod
    async def open(cls, settings: Settings, drain: Drain) -> Self:
        """Connects, waiting for servers that are away."""
        sealer = Sealer(settings.secret_keys)
        database = await _until_up(lambda: _database(settings.database_url, settings))
        replica = settings.database_replica_url
        reader = database if replica is None else await _until_up(lambda: _database(replica, settings))
        redis = connect(settings.signals_url)
        transport = open_transport(settings)
        client = CommandClient(redis, database, sealer, publisher=transport.publisher)
        await client.__aenter__()
        platform = cls(settings, drain, sealer, Servers(database, reader, redis, transport, client))
        platform.backlog.start()
        platform.key_uses.start()
        platform.audit.start()
        return platform

    async def close(self) -> None:
        await self.tail.close()
        await self.key_uses.close()
        await self.backlog.close()
        await self.client.__aexit__(None, None, None)
        await self.audit.close()
        await self.federation.close()
        await self.transport.close()
        await self.redis.aclose()
        await self.database.close()
        if self.reader is not self.database:
            await self.reader.close()

    async def still_holds(self, key: HeldKey) -> bool:
        """Whether an API key, or a client's token, is good still. No, when nobody knows."""
        ring: KeyRing | ClientRing = self.clients if key.kind == "client" else self.keyring
        try:
            return await ring.still_good(key)
        except (OSError, *DATABASE_OUTAGES):
            return False

    async def _public_keys(self) -> Keys:
        async with self.database.scope() as connection:
            keys = await users.signing_keys(connection)
        return {key.kid: ed25519_key(key.public_key) for key in keys if key.algorithm == "EdDSA"}


class _Asks:
    """Commands of no tenant's, with their results."""

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def __call__(self, command: Command, *, actor: str | None) -> dict[str, Any]:
        answer = await self._commands.request(command, tenant_id=PLATFORM_TENANT_ID, actor=actor)
        if answer.error is not None:
            raise from_body(answer.error)
        if answer.status == "pending":
            raise Unavailable("This takes longer than it may. Try again.")
        return answer.result or {}


async def _database(url: str, settings: Settings) -> Database:
    return await Database.connect(
        url,
        _ROLE,
        max_size=settings.database_pool_size,
        answer_seconds=STATEMENT_SECONDS + 5,
        statement_seconds=STATEMENT_SECONDS,
    )


def _federation(settings: Settings, sealer: Sealer, database: Database) -> Federation:
    """Whoever runs the platform may name servers in a private network; tenants may not in production."""
    trying = settings.env != "production"
    return Federation(
        settings.identity_providers,
        sealer,
        settings.public_url,
        Outbound(private=True, plain=True),
        Outbound(private=trying, plain=trying, most_of_a_host=MOST_OF_A_STRANGER),
        lambda name: _sign_on(database, sealer, name),
    )


async def _sign_on(database: Database, sealer: Sealer, tenant_id: str) -> SignOnProvider | None:
    if not (is_id(tenant_id) and tenant_id.startswith("tenant_")):
        return None
    async with database.scope(tenant_id=tenant_id) as connection:
        row, tenant = await tenants.sign_on(connection, tenant_id), await tenants.tenant(connection, tenant_id)
        claimed = await tenants.domains(connection, tenant_id)
        if row is None or tenant is None or tenant.status == "deleted":
            return None
        try:
            secret = await tenants.client_secret(connection, sealer, tenant_id, row)
        except SealError:
            _log.warning("a tenant's client secret does not open, its people cannot sign on", tenant_id=tenant_id)
            return None
    return SignOnProvider(
        tenant_id,
        tenant.name,
        row.issuer,
        row.client_id,
        secret,
        frozenset(each.domain for each in claimed if each.proven_at is not None),
    )


async def _until_up(connect_database: Callable[[], Awaitable[Database]]) -> Database:
    failures = 0
    while True:
        try:
            return await connect_database()
        except (*OUTAGES, *DATABASE_OUTAGES) as error:
            failures += 1
            if failures == 1:
                _log.warning("waiting for the database", error=str(error))
            await asyncio.sleep(reconnect_delay_seconds(failures))
