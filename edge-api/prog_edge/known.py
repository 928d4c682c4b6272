"""Who people are and how tenants stand, as the edge knows it: looked up in PostgreSQL, and remembered for seconds.

What is about two things has both in its key, with a space between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from prog_contracts.errors import Unavailable
from prog_contracts.permissions import Action, closed, possible
from prog_contracts.quotas import QuotaName, limits_of
from prog_contracts.tenants import TenantRole, TenantStatus
from prog_contracts.users import PlatformRole
from prog_edge.branding import LOGOS_REMEMBERED, Brand, brand_of, logo_of
from prog_edge.directory import Remembered, role_in
from prog_edge.hosts import TenantHosts
from prog_edge.quotas import limits_given
from prog_edge.tokens import Claims
from prog_edge.versions.table import Version, version_named
from prog_kit.database import OUTAGES, Database
from prog_workers.tenants import queries as tenants
from prog_workers.tenants.queries.custom_domains import ServedDomain, served_domains
from prog_workers.tenants.queries.sign_on import Enforcement, enforcement
from prog_workers.users import queries as users
from prog_workers.users.queries import SessionRow, UserRow, impersonations, profiles
from prog_workers.users.queries.impersonations import ImpersonationRow

FREE_PLAN: Final = "free"
AVATARS_REMEMBERED: Final = 500
LIMITS_FRESH_SECONDS: Final = 1.0
"""How old the limits of a tenant may be when they are shown. They follow from its plan, some time after a payment."""
PICTURES_FRESH_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """How a tenant stands: what it pays for, its status, which says what is possible in it, and who has to sign on.

    `version` of the API is for requests about it that name none, where it has set one.
    """

    plan: str
    status: TenantStatus
    sign_on: Enforcement = field(default_factory=Enforcement)
    version: Version | None = None


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """What a tenant may use, by name; None is without limit. It is what its plan allows, or what it was given."""

    plan: str | None
    limits: Mapping[str, int | None]

    def of(self, quota: QuotaName) -> int | None:
        """As the plan says where the tenant has none of its own yet, for it is just being made."""
        return self.limits[quota] if quota in self.limits else limits_of(self.plan)[quota]


class Known:
    """`reader` is the replica where there is one, else the primary. Sessions, accounts and memberships are asked of the
    primary: what was taken away is not to be found again on a replica that lags."""

    def __init__(self, database: Database, reader: Database) -> None:
        self.database = database
        self.reader = reader
        self.people: Remembered[UserRow] = Remembered(self._person)
        self.memberships: Remembered[Mapping[str, TenantRole]] = Remembered(self._memberships)
        self.standings: Remembered[Standing] = Remembered(self._standing)
        self.tenant_limits: Remembered[TenantLimits] = Remembered(self._limits, fresh_seconds=LIMITS_FRESH_SECONDS)
        self.live_sessions: Remembered[SessionRow] = Remembered(self._session)
        self.live_impersonations: Remembered[ImpersonationRow] = Remembered(self._impersonation)
        self.sign_ons: Remembered[datetime] = Remembered(self._signed_on_at)
        self.brands: Remembered[Brand] = Remembered(lambda tenant_id: brand_of(reader, tenant_id))
        self.sites: Remembered[Brand] = Remembered(lambda tenant_id: brand_of(reader, tenant_id, own_site=True))
        self.hosts = TenantHosts(self._served)
        self.logos: Remembered[bytes] = Remembered(
            lambda key: logo_of(reader, key), fresh_seconds=PICTURES_FRESH_SECONDS, limit=LOGOS_REMEMBERED
        )
        self.avatars: Remembered[bytes] = Remembered(
            self._avatar, fresh_seconds=PICTURES_FRESH_SECONDS, limit=AVATARS_REMEMBERED
        )

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
        return await self.live_sessions.get(f"{user_id} {session_id}")

    async def signed_on_at(self, user_id: str, tenant_id: str) -> datetime | None:
        """When the tenant's own provider has last vouched for a person."""
        return await self.sign_ons.get(f"{user_id} {tenant_id}")

    async def still_signed_in(self, user_id: str, session_id: str, office: PlatformRole | None) -> bool:
        """Whether the session goes on and the person still holds that office of the platform. No, when nobody knows."""
        try:
            if await self.session(user_id, session_id) is None:
                return False
            return office is None or (await self.person(user_id)).platform_role == office
        except (OSError, Unavailable, *OUTAGES):
            return False

    async def impersonation(self, impersonation_id: str) -> ImpersonationRow | None:
        """One that goes on, with all that it stands on; known so for a few seconds at the most."""
        return await self.live_impersonations.get(impersonation_id)

    async def still_impersonates(self, user_id: str, operator_id: str, impersonation_id: str) -> bool:
        """Whether this one acts in that one's name still. No, when nobody knows."""
        try:
            found = await self.impersonation(impersonation_id)
        except (OSError, *OUTAGES):
            return False
        return found is not None and (found.user_id, found.operator_id) == (user_id, operator_id)

    async def is_live(self, claims: Claims) -> bool:
        """Whether what a token stands on goes on: its session, or the impersonation, which names the same two
        persons."""
        if claims.operator_id is None:
            return await self.session(claims.user_id, claims.session_id) is not None
        found = await self.impersonation(claims.session_id)
        return found is not None and (found.user_id, found.operator_id) == (claims.user_id, claims.operator_id)

    async def _person(self, user_id: str) -> UserRow | None:
        async with self.database.scope(user_id=user_id) as connection:
            return await users.user(connection, user_id)

    async def _memberships(self, user_id: str) -> Mapping[str, TenantRole]:
        async with self.database.scope(user_id=user_id) as connection:
            return await tenants.roles_of(connection, user_id)

    async def _standing(self, tenant_id: str) -> Standing | None:
        async with self.database.scope(tenant_id=tenant_id) as connection:
            row = await tenants.tenant(connection, tenant_id)
            if row is None:
                return None
            return Standing(
                row.plan or FREE_PLAN,
                row.status,
                await enforcement(connection, tenant_id),
                version_named(await tenants.api_version(connection, tenant_id)),
            )

    async def _limits(self, tenant_id: str) -> TenantLimits | None:
        async with self.reader.scope(tenant_id=tenant_id) as connection:
            tenant = await tenants.tenant(connection, tenant_id)
            if tenant is None:
                return None
            return TenantLimits(tenant.plan, limits_given(tenant.plan, await tenants.limits(connection, tenant_id)))

    async def _served(self) -> Mapping[str, ServedDomain]:
        async with self.database.operator() as connection:
            return await served_domains(connection)

    async def _session(self, key: str) -> SessionRow | None:
        """A live session of a person, None for one that is over."""
        user_id, _, session_id = key.partition(" ")
        async with self.database.scope(user_id=user_id) as connection:
            return await users.live_session(connection, session_id, datetime.now(UTC))

    async def _impersonation(self, impersonation_id: str) -> ImpersonationRow | None:
        async with self.database.operator() as connection:
            return await impersonations.live_impersonation(connection, impersonation_id, datetime.now(UTC))

    async def _signed_on_at(self, key: str) -> datetime | None:
        user_id, _, tenant_id = key.partition(" ")
        async with self.database.scope(user_id=user_id) as connection:
            return await users.signed_on_at(connection, user_id, tenant_id)

    async def _avatar(self, key: str) -> bytes | None:
        user_id, _, avatar_id = key.partition(" ")
        async with self.database.scope(user_id=user_id) as connection:
            return await profiles.avatar(connection, user_id, avatar_id)
