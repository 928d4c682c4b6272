"""What the edge works with: pools, the broker, keys, sessions, the tail. One a process, found by every request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

from prog_broker.client import CommandClient
from prog_broker.ports import Transport
from prog_broker.redis.connection import OUTAGES, Client, connect, reconnect_delay_seconds
from prog_broker.transport import open_transport
from prog_contracts.errors import Unavailable, from_body
from prog_contracts.ids import PLATFORM_TENANT_ID, is_id
from prog_contracts.messages import Command
from prog_contracts.permissions import Action, closed, possible
from prog_contracts.quotas import QuotaName, limits_of
from prog_contracts.tenants import TenantRole, TenantStatus
from prog_contracts.users import PlatformRole
from prog_edge.audit.feed import AuditFeed
from prog_edge.branding import LOGOS_REMEMBERED, Brand, brand_of, logo_of
from prog_edge.callers import Callers
from prog_edge.directory import Remembered, role_in
from prog_edge.drain import Drain
from prog_edge.federation import Federation, SignOnProvider
from prog_edge.federation.outbound import MOST_OF_A_STRANGER, Outbound
from prog_edge.idempotency import IdempotencyKeys
from prog_edge.key_uses import KeyUses
from prog_edge.keyring import HeldKey, KeyRing, mode_of
from prog_edge.limits.admission import Admission, Limits
from prog_edge.limits.attempts import Attempts
from prog_edge.limits.backlog import BacklogWatch
from prog_edge.limits.commands import Commands
from prog_edge.limits.rates import RateLimits
from prog_edge.oauth.clients import ClientRing
from prog_edge.operations import Operations
from prog_edge.passkeys import PasskeyOffers
from prog_edge.quotas import Quotas
from prog_edge.sessions import BrowserSessions, IsLive
from prog_edge.sse import HEARTBEAT_SECONDS
from prog_edge.tail import EventTail
from prog_edge.tokens import Claims, Keys, PublicKeys, TokenVerifier, ed25519_key
from prog_kit.database import OUTAGES as DATABASE_OUTAGES
from prog_kit.database import Database
from prog_kit.logging import get
from prog_kit.passkeys import RelyingParty
from prog_kit.secrets import Sealer, SealError
from prog_kit.settings import Settings
from prog_workers.tenants import queries as tenants
from prog_workers.tenants.queries.sign_on import Enforcement, enforcement
from prog_workers.users import queries as users
from prog_workers.users.queries import SessionRow, UserRow, impersonations, profiles
from prog_workers.users.queries.impersonations import ImpersonationRow

_log = get("prog_edge.platform")
_ROLE: Final = "prog_edge"
FREE_PLAN: Final = "free"
AVATARS_REMEMBERED: Final = 500
LIMITS_FRESH_SECONDS: Final = 1.0
"""How old the limits of a tenant may be when they are shown. They follow from its plan, some time after a payment."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands: what it pays for, its status, which says what is possible in it, and who has to sign on."""

    plan: str
    status: TenantStatus
    sign_on: Enforcement = field(default_factory=Enforcement)


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """What a tenant may use, by name; None is without limit. It is what its plan allows, or what it was given."""

    plan: str | None
    limits: Mapping[str, int | None]

    def of(self, quota: QuotaName) -> int | None:
        """As the plan says where the tenant has none of its own yet, for it is just being made."""
        return self.limits[quota] if quota in self.limits else limits_of(self.plan)[quota]


@dataclass(slots=True)
class Platform:
    """Everything that outlives a request. `reader` is the replica where there is one, else the primary."""

    settings: Settings
    database: Database
    reader: Database
    redis: Client
    transport: Transport
    client: CommandClient
    commands: Commands
    backlog: BacklogWatch
    rates: RateLimits
    attempts: Attempts
    sealer: Sealer
    passkeys: PasskeyOffers
    drain: Drain
    tokens: TokenVerifier
    sessions: BrowserSessions
    callers: Callers
    keyring: KeyRing
    key_uses: KeyUses
    clients: ClientRing
    idempotency: IdempotencyKeys
    operations: Operations
    tail: EventTail
    audit: AuditFeed
    people: Remembered[UserRow]
    memberships: Remembered[Mapping[str, TenantRole]]
    standings: Remembered[Standing]
    tenant_limits: Remembered[TenantLimits]
    live_sessions: Remembered[SessionRow]
    live_impersonations: Remembered[ImpersonationRow]
    sign_ons: Remembered[datetime]
    federation: Federation
    brands: Remembered[Brand]
    logos: Remembered[bytes]
    avatars: Remembered[bytes]
    quotas: Quotas
    signing_key: bytes
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    """How often a live stream shows that it is there, and looks whether its reader may still read."""

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
        platform = cls._assemble(settings, drain, sealer, database, reader, redis, transport, client)
        platform.backlog.start()
        platform.key_uses.start()
        platform.audit.start()
        return platform

    @classmethod
    def _assemble(
        cls,
        settings: Settings,
        drain: Drain,
        sealer: Sealer,
        database: Database,
        reader: Database,
        redis: Client,
        transport: Transport,
        client: CommandClient,
    ) -> Self:
        admission = Admission(Limits(settings.backlog_limit, settings.tenant_in_flight_limit))
        audit = AuditFeed(database)
        commands = Commands(client, admission, audit)
        factor = settings.effective_rate_limit_factor
        tokens = TokenVerifier(PublicKeys(lambda: _public_keys(database)), settings.public_url)
        tail = EventTail(database, drain, redis)
        drain.on_start(tail.end_all)
        signing_key = bytes.fromhex(sealer.digest("forms", "edge"))
        asks = _Asks(commands)
        secure = settings.public_url.startswith("https://")
        live_sessions = Remembered(lambda key: _live_session(database, key))

        live_impersonations = Remembered(lambda key: _live_impersonation(database, key))
        is_live = _liveness(live_sessions, live_impersonations)
        sessions = BrowserSessions(sealer, tokens, is_live, asks, secure=secure)
        people: Remembered[UserRow] = Remembered(lambda user_id: _person(database, user_id))
        memberships: Remembered[Mapping[str, TenantRole]] = Remembered(lambda user_id: _memberships(database, user_id))
        rates = RateLimits(redis, mode=settings.rate_limits, factor=factor)
        keyring = KeyRing(database, mode_of(settings.env), people, memberships)
        key_uses = KeyUses(commands)
        clients = ClientRing(database, people, memberships)
        return cls(
            settings=settings,
            database=database,
            reader=reader,
            redis=redis,
            transport=transport,
            client=client,
            commands=commands,
            backlog=BacklogWatch(transport, admission),
            rates=rates,
            attempts=Attempts(redis, mode=settings.rate_limits, factor=factor),
            sealer=sealer,
            passkeys=PasskeyOffers(RelyingParty.of(settings), sealer),
            drain=drain,
            tokens=tokens,
            sessions=sessions,
            callers=Callers(tokens, is_live, sessions, signing_key, keyring, clients, key_uses, rates),
            keyring=keyring,
            key_uses=key_uses,
            clients=clients,
            idempotency=IdempotencyKeys(database, sealer),
            operations=Operations(redis),
            tail=tail,
            audit=audit,
            people=people,
            memberships=memberships,
            standings=Remembered(lambda tenant_id: _standing(database, tenant_id)),
            tenant_limits=Remembered(
                lambda tenant_id: _tenant_limits(reader, tenant_id), fresh_seconds=LIMITS_FRESH_SECONDS
            ),
            live_sessions=live_sessions,
            live_impersonations=live_impersonations,
            sign_ons=Remembered(lambda key: _signed_on_at(database, key)),
            federation=_federation(settings, sealer, database),
            brands=Remembered(lambda tenant_id: brand_of(reader, tenant_id)),
            quotas=Quotas(database, commands),
            logos=Remembered(lambda key: logo_of(reader, key), fresh_seconds=60, limit=LOGOS_REMEMBERED),
            avatars=Remembered(lambda key: _avatar(database, key), fresh_seconds=60, limit=AVATARS_REMEMBERED),
            signing_key=signing_key,
        )

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

    async def tenants_of(self, user_id: str, *, anew: bool = False) -> Mapping[str, TenantRole]:
        """The person's tenants with the role in each; with `anew`, as they are now."""
        return await self.memberships.get(user_id, anew=anew) or {}

    async def role(self, user_id: str, tenant_id: str) -> TenantRole | None:
        """The person's role in a tenant."""
        return await role_in(self.memberships, user_id, tenant_id)

    async def require_open(self, tenant_id: str, action: Action) -> None:
        """Raises Conflict when the tenant's status does not let anybody do this: it is suspended, or being deleted."""
        standing = await self.standings.get(tenant_id)
        if standing is not None and not possible(standing.status, action):
            raise closed(standing.status)

    async def limit(self, tenant_id: str, quota: QuotaName) -> int | None:
        """How much a tenant may use of something; None is without limit."""
        return (await self.tenant_limits.get(tenant_id) or TenantLimits(None, {})).of(quota)

    async def person(self, user_id: str) -> UserRow:
        """Raises Unavailable when a signed-in person has no account: it is being deleted."""
        user = await self.people.get(user_id)
        if user is None:
            raise Unavailable("This account cannot be read at the moment.")
        return user

    async def session(self, user_id: str, session_id: str) -> SessionRow | None:
        """A session of a person that goes on."""
        return await self.live_sessions.get(_session_key(user_id, session_id))

    async def signed_on_at(self, user_id: str, tenant_id: str) -> datetime | None:
        """When the tenant's own provider has last vouched for a person."""
        return await self.sign_ons.get(f"{user_id} {tenant_id}")

    async def still_signed_in(self, user_id: str, session_id: str, office: PlatformRole | None) -> bool:
        """Whether the session goes on and the person still holds that office of the platform. No, when nobody knows."""
        try:
            if await self.session(user_id, session_id) is None:
                return False
            return office is None or (await self.person(user_id)).platform_role == office
        except (OSError, Unavailable, *DATABASE_OUTAGES):
            return False

    async def impersonation(self, impersonation_id: str) -> ImpersonationRow | None:
        """One that goes on, with all that it stands on; known so for a few seconds at the most."""
        return await self.live_impersonations.get(impersonation_id)

    async def still_impersonates(self, user_id: str, operator_id: str, impersonation_id: str) -> bool:
        """Whether this one acts in that one's name still. No, when nobody knows."""
        try:
            found = await self.impersonation(impersonation_id)
        except (OSError, *DATABASE_OUTAGES):
            return False
        return found is not None and (found.user_id, found.operator_id) == (user_id, operator_id)

    async def still_holds(self, key: HeldKey) -> bool:
        """Whether an API key, or a client's token, is good still. No, when nobody knows."""
        ring: KeyRing | ClientRing = self.clients if key.kind == "client" else self.keyring
        try:
            return await ring.still_good(key)
        except (OSError, *DATABASE_OUTAGES):
            return False


def _liveness(sessions: Remembered[SessionRow], begun: Remembered[ImpersonationRow]) -> IsLive:
    """Whether what a token stands on goes on: its session, or the impersonation, which names the same two persons."""

    async def is_live(claims: Claims) -> bool:
        if claims.operator_id is None:
            return await sessions.get(_session_key(claims.user_id, claims.session_id)) is not None
        found = await begun.get(claims.session_id)
        return found is not None and (found.user_id, found.operator_id) == (claims.user_id, claims.operator_id)

    return is_live


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
    return await Database.connect(url, _ROLE, max_size=settings.database_pool_size)


async def _public_keys(database: Database) -> Keys:
    async with database.scope() as connection:
        keys = await users.signing_keys(connection)
    return {key.kid: ed25519_key(key.public_key) for key in keys if key.algorithm == "EdDSA"}


def _session_key(user_id: str, session_id: str) -> str:
    return f"{user_id} {session_id}"


async def _live_session(database: Database, key: str) -> SessionRow | None:
    """A live session of a person, None for one that is over; both are named in the key."""
    user_id, _, session_id = key.partition(" ")
    async with database.scope(user_id=user_id) as connection:
        return await users.live_session(connection, session_id, datetime.now(UTC))


async def _signed_on_at(database: Database, key: str) -> datetime | None:
    user_id, _, tenant_id = key.partition(" ")
    async with database.scope(user_id=user_id) as connection:
        return await users.signed_on_at(connection, user_id, tenant_id)


async def _live_impersonation(database: Database, impersonation_id: str) -> ImpersonationRow | None:
    async with database.operator() as connection:
        return await impersonations.live_impersonation(connection, impersonation_id, datetime.now(UTC))


async def _person(database: Database, user_id: str) -> UserRow | None:
    async with database.scope(user_id=user_id) as connection:
        return await users.user(connection, user_id)


async def _avatar(database: Database, key: str) -> bytes | None:
    """The picture of a person and an avatar, both of which are named in the key."""
    user_id, _, avatar_id = key.partition(" ")
    async with database.scope(user_id=user_id) as connection:
        return await profiles.avatar(connection, user_id, avatar_id)


async def _memberships(database: Database, user_id: str) -> Mapping[str, TenantRole]:
    async with database.scope(user_id=user_id) as connection:
        return {row.tenant_id: row.role for row in await tenants.tenants_of(connection, user_id)}


async def _standing(database: Database, tenant_id: str) -> Standing | None:
    async with database.scope(tenant_id=tenant_id) as connection:
        row = await tenants.tenant(connection, tenant_id)
        if row is None:
            return None
        return Standing(row.plan or FREE_PLAN, row.status, await enforcement(connection, tenant_id))


async def _tenant_limits(database: Database, tenant_id: str) -> TenantLimits | None:
    async with database.scope(tenant_id=tenant_id) as connection:
        tenant = await tenants.tenant(connection, tenant_id)
        return None if tenant is None else TenantLimits(tenant.plan, await tenants.limits(connection, tenant_id))


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
