"""What a route needs from its caller, declared beside the route: `Public`, `SignedIn`, `Needs(action)`, `Staff(…)`.

Each is a FastAPI dependency that runs before the route and gives it what it may use. A tenant is picked by the path, by
`Prog-Tenant`, or is the caller's only one; a tenant that is not the caller's does not exist. Rows are read through
`rows()`, which opens the scope that row-level security enforces: one tenant, or all for the platform's staff when no
tenant was picked.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast

from starlette.requests import Request

from prog_contracts.errors import Denied, NotFound, Unavailable
from prog_contracts.ids import is_id
from prog_contracts.permissions import NOT_WHILE_IMPERSONATING, SCOPES, Action, allowed
from prog_contracts.tenants import TenantRole
from prog_edge.callers import Caller
from prog_edge.context import RequestContext, context_of
from prog_edge.impersonation import not_while_impersonating
from prog_edge.platform import Platform
from prog_edge.problems import Refused
from prog_edge.signed_on import require_signed_on
from prog_kit.database import OUTAGES, Connection, Database

TENANT_HEADER: Final = "Prog-Tenant"

PlatformAction = Literal["platform.read", "platform.manage"]
"""What the platform's staff may do: `support` reads, `operator` reads and manages."""


@dataclass(frozen=True, slots=True)
class Visit:
    """A request of anybody."""

    platform: Platform
    context: RequestContext
    caller: Caller | None

    @property
    def actor(self) -> str | None:
        """Nobody: an actor's name would make a process of the platform of a stranger."""
        return None if self.caller is None else self.caller.user_id


@dataclass(frozen=True, slots=True)
class Access:
    """A request of a signed-in person, with the right to what the route does.

    `tenant_id` is None where the route is about the person, or where staff looks across all tenants.
    """

    platform: Platform
    context: RequestContext
    caller: Caller
    tenant_id: str | None = None
    role: TenantRole | None = None

    @property
    def actor(self) -> str:
        return self.caller.actor

    @property
    def session_id(self) -> str:
        """The session that the request belongs to. Raises Denied where there is none: for a key, and for an operator
        in somebody's name."""
        if self.caller.operator_id is not None:
            raise not_while_impersonating()
        if self.caller.session_id is None:
            raise _not_for_keys()
        return self.caller.session_id

    def may(self, action: Action) -> bool:
        """Whether the caller may do something else besides, by the role in the tenant."""
        return allowed(self.role, action, self.caller.scopes)

    @property
    def tenant(self) -> str:
        """The tenant. Raises Refused when staff has picked none and the route is about one."""
        if self.tenant_id is None:
            raise Refused(400, "tenant_required", f"Say which tenant is meant in the {TENANT_HEADER} header.")
        return self.tenant_id

    @property
    def sees_billing(self) -> bool:
        """Whether the caller may know how the tenant pays: by the role there, or as staff."""
        return self.caller.platform_role is not None or self.may("billing.read")

    async def still_granted(self) -> bool:
        """Whether what was granted at the beginning of a long answer is so still: session or key, role or office."""
        caller = self.caller
        if caller.key is not None:
            granted = await self.platform.still_holds(caller.key)
        elif caller.operator_id is not None:
            granted = await self.platform.still_impersonates(
                caller.user_id, caller.operator_id, caller.session_id or ""
            )
        else:
            granted = await self.platform.still_signed_in(caller.user_id, self.session_id, caller.platform_role)
        if not granted:
            return False
        if self.tenant_id is None or self.role is None:
            return True
        try:
            await require_signed_on(self.platform, caller.user_id, caller.session_id, self.tenant_id, self.role)
            return await self.platform.role(caller.user_id, self.tenant_id) == self.role
        except (Denied, Unavailable, *OUTAGES):
            return False

    def rows(self) -> AbstractAsyncContextManager[Connection]:
        """A transaction that sees what the caller may see."""
        return self._rows(self.platform.reader)

    def newest_rows(self) -> AbstractAsyncContextManager[Connection]:
        """The same on the primary, for what must not lag."""
        return self._rows(self.platform.database)

    def _rows(self, database: Database) -> AbstractAsyncContextManager[Connection]:
        if self.tenant_id is not None:
            return database.scope(tenant_id=self.tenant_id)
        if self.caller.platform_role is not None:
            return database.operator()
        return database.scope(user_id=self.caller.user_id)


class Public:
    """Anybody; a credential that comes along is not looked at. With `any_origin`, pages of all sites may read it."""

    permission: str = "public"
    impersonated = True

    def __init__(self, *, any_origin: bool = False) -> None:
        self.any_origin = any_origin

    async def __call__(self, request: Request) -> Visit:
        visit = Visit(platform_of(request), context_of(request.scope), None)
        await _spend(request, visit.platform, visit.context)
        return visit


class SignedIn:
    """Any signed-in person, about themselves. No API key: it stands for a program of one tenant.

    Nobody in their name, either, unless the route says that it is for those, too: it only shows.
    """

    permission: str = "signed_in"

    def __init__(self, *, impersonated: bool = False) -> None:
        self.impersonated = impersonated

    async def __call__(self, request: Request) -> Access:
        platform, context, caller = await _caller(request)
        await _spend(request, platform, context, caller)
        _check_impersonation(caller, self)
        if caller.key is not None:
            raise _not_for_keys()
        return Access(platform, context, caller)


class Staff:
    """The platform's own people, across all tenants or in one that they name."""

    def __init__(self, permission: PlatformAction, tenant: Literal["header", "path"] = "header") -> None:
        self.permission: str = permission
        self.action = permission
        self.place = tenant
        self.impersonated = False

    async def __call__(self, request: Request) -> Access:
        platform, context, caller = await _caller(request)
        await _spend(request, platform, context, caller)
        _check_impersonation(caller, self)
        if not _staff_may(caller, self.action):
            raise Denied("This is for the platform's operators.")
        tenant_id = _named(request, self.place)
        context.tenant_id = tenant_id
        standing = None if tenant_id is None else await platform.standings.get(tenant_id)
        if standing is not None:
            context.follow_version(standing.version)
        return Access(platform, context, caller, tenant_id)


class Needs:
    """A member of the tenant whose role allows the action, a key of theirs whose scopes do too, or staff.

    With `any_status` a suspended tenant, or one that is being deleted, lets them as well: for what only takes away.
    """

    def __init__(
        self, action: Action, tenant: Literal["header", "path"] = "header", *, any_status: bool = False
    ) -> None:
        self.permission: str = action
        self.action = action
        self.place = tenant
        self.any_status = any_status
        self.keys = action in SCOPES
        self.impersonated = action not in NOT_WHILE_IMPERSONATING

    async def __call__(self, request: Request) -> Access:
        platform, context, caller = await _caller(request)
        named = tenant_id = _named(request, self.place)
        if caller.key is not None:
            tenant_id = caller.key.tenant_id
        staff = _staff_may(caller, "platform.read" if self.action.endswith(".read") else "platform.manage")
        if tenant_id is None:
            tenant_id = None if staff else await _only_tenant(platform, caller)
        context.tenant_id = tenant_id
        role = None if tenant_id is None else await platform.role(caller.user_id, tenant_id)
        context.is_member = role is not None
        known = tenant_id is not None and (role is not None or staff)
        standing = await platform.standings.get(tenant_id) if known and tenant_id is not None else None
        if standing is not None and (named is not None or caller.key is not None):
            context.follow_version(standing.version)
        plan = None if standing is None or role is None else standing.plan
        await _spend(request, platform, context, caller, plan)
        _check_impersonation(caller, self)
        if caller.key is not None and not self.keys:
            raise _not_for_keys()
        if named not in (None, tenant_id):
            raise NotFound("There is no such tenant.")
        if not allowed(role, self.action, caller.scopes) and not staff:
            if role is None:
                context.turn_away("not_found", tenant_id or "", is_member=False, permission=self.action)
                raise NotFound("There is no such tenant.")
            raise _refusal(caller, role, self.action)
        if tenant_id is not None:
            await require_signed_on(platform, caller.user_id, caller.session_id, tenant_id, role)
        if tenant_id is not None and not self.any_status:
            await platform.require_open(tenant_id, self.action)
        return Access(platform, context, caller, tenant_id, role)


Declaration: TypeAlias = Public | SignedIn | Staff | Needs
"""Each tells its `permission`: `public`, `signed_in`, an `Action` or a `PlatformAction`; and whether an operator may in
somebody's name (`impersonated`)."""


def platform_of(request: Request) -> Platform:
    return cast("Platform", request.app.state.platform)


async def _caller(request: Request) -> tuple[Platform, RequestContext, Caller]:
    platform = platform_of(request)
    context = context_of(request.scope)
    try:
        caller = await platform.callers.find(request, context)
    except Denied:
        await _spend(request, platform, context)
        raise
    if caller is None:
        await _spend(request, platform, context)
        raise Denied(
            "Sign in, and send the access token or an API key as: Authorization: Bearer TOKEN", code="unauthenticated"
        )
    context.identify(caller.actor, caller.session_id, caller.platform_role)
    return platform, context, caller


async def _spend(
    request: Request,
    platform: Platform,
    context: RequestContext,
    caller: Caller | None = None,
    plan: str | None = None,
) -> None:
    """Counts the request against the caller's quota, or that of the address. Raises TooMuch."""
    client = None if caller is None else caller.client
    await platform.rates.spend(request.method, request.scope["route"].path, context, client, plan)


def _named(request: Request, place: Literal["header", "path"]) -> str | None:
    tenant_id = request.path_params["tenant_id"] if place == "path" else request.headers.get(TENANT_HEADER)
    if tenant_id is not None and not (is_id(tenant_id) and tenant_id.startswith("tenant_")):
        if place == "path":
            raise NotFound("There is no such tenant.")
        raise Refused(400, "tenant_invalid", f"{TENANT_HEADER} is the id of a tenant, such as tenant_01jd….")
    return cast("str | None", tenant_id)


async def _only_tenant(platform: Platform, caller: Caller) -> str:
    tenants = await platform.tenants_of(caller.user_id)
    if len(tenants) != 1:  # whoever has just created one, or left another, need not wait
        tenants = await platform.tenants_of(caller.user_id, anew=True)
    if len(tenants) != 1:
        raise Refused(
            400,
            "tenant_required",
            f"Say which of your tenants is meant in the {TENANT_HEADER} header."
            if tenants
            else "You belong to no tenant yet: create one with POST /v1/tenants.",
        )
    return next(iter(tenants))


def _refusal(caller: Caller, role: TenantRole, action: Action) -> Denied:
    """Why neither role nor key allows the action."""
    if caller.scopes is None or caller.operator_id is not None:
        return Denied(f"The role {role} does not allow this ({action}).")
    of_client = caller.credential == "client"
    if action not in caller.scopes:
        what = "This client's token" if of_client else "This API key"
        return Denied(f"{what} was not made for this ({action}).", code="insufficient_scope")
    whose = "holds this client's secret" if of_client else "made this API key"
    return Denied(f"The role {role} of whoever {whose} does not allow this ({action}).")


def _not_for_keys() -> Denied:
    return Denied("This is for signed-in people, and for no API key or client.", code="not_for_api_keys")


def _check_impersonation(caller: Caller, declared: Declaration) -> None:
    if caller.operator_id is not None and not declared.impersonated:
        raise not_while_impersonating()


def _staff_may(caller: Caller, action: PlatformAction) -> bool:
    if action == "platform.read":
        return caller.platform_role is not None
    return caller.platform_role == "operator"
