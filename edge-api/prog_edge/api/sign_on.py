"""Sign-on with a tenant's own identity provider, and the domains of addresses that it speaks for.

Every change needs a sign-in of the last ten minutes: who changes these decides who gets in.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.errors import NotFound
from prog_contracts.sign_on import (
    API_KEY_DAYS_MAX,
    DNS_LABEL,
    DNS_VALUE,
    CheckDomain,
    ClaimDomain,
    ReleaseDomain,
    RemoveSignOn,
    SignOnRole,
)
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Body, Listing, Resource, problems
from prog_edge.sign_on import configuration
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.writes import Write, perform
from prog_workers.tenants import queries
from prog_workers.tenants.queries import DomainRow

router = APIRouter(prefix="/v1/tenants/{tenant_id}", tags=["Tenants"])

Manages = Annotated[Access, Depends(Needs("sign_on.manage", "path"))]
TenantId = Annotated[str, Path(max_length=100)]
DomainName = Annotated[str, Path(max_length=255)]


class SignOnSettings(Body):
    """How the tenant's people sign on. Register `redirect_uri` of the answer at the provider."""

    issuer: str = Field(min_length=1, max_length=500, examples=["https://id.acme.example"])
    client_id: str = Field(min_length=1, max_length=500)
    client_secret: str | None = Field(
        None, min_length=1, max_length=2000, description="Left out, the one from before stays; it is never shown."
    )
    default_role: SignOnRole = Field("member", description="What whoever signs on becomes who is no member yet.")
    enforced: bool = Field(
        False, description="People with addresses of the tenant's domains get in by no other way, but for its owners."
    )
    api_key_days: int | None = Field(
        None,
        ge=1,
        le=API_KEY_DAYS_MAX,
        description="Where it is enforced, for so many days after they signed on last the API keys and clients of these"
        " people get in, too; null is without limit.",
    )


class SignOn(Resource):
    issuer: str
    client_id: str
    default_role: SignOnRole
    enforced: bool
    api_key_days: int | None
    redirect_uri: str = Field(examples=["https://app.example.com/v1/auth/oauth/tenant_01jd…/callback"])


class NewDomain(Body):
    domain: str = Field(min_length=1, max_length=255, examples=["acme.example"])


class Domain(Resource):
    """A domain of addresses. It is the tenant's once its DNS has the record, and as long as it has it."""

    domain: str
    status: Literal["claimed", "proven"]
    record_name: str = Field(examples=["_prognetwork.acme.example"])
    record_type: Literal["TXT"] = "TXT"
    record_value: str = Field(examples=["prognetwork-verify=3nK…"])
    claimed_at: datetime
    proven_at: datetime | None
    missing_since: datetime | None = Field(
        None, description="Since when the record of a proven domain is gone. After a week it is proven no more."
    )


@router.get("/sign-on", responses=problems(401, 404))
async def get_sign_on(tenant_id: TenantId, access: Manages) -> SignOn:
    """The tenant's own identity provider."""
    async with access.newest_rows() as connection:
        row = await queries.sign_on(connection, access.tenant)
    if row is None:
        raise NotFound("The tenant has no sign-on.", code="no_sign_on")
    return SignOn(
        issuer=row.issuer,
        client_id=row.client_id,
        default_role=row.default_role,
        enforced=row.enforced,
        api_key_days=row.api_key_days,
        redirect_uri=redirect_uri(access),
    )


@router.put("/sign-on", response_model=SignOn, responses=problems(401, 403, 404, 409, 422, 503))
async def configure_sign_on(tenant_id: TenantId, body: SignOnSettings, request: Request, access: Manages) -> Response:
    """Take an OpenID provider as the tenant's own. It is asked for its metadata and keys first."""
    await _require_fresh(access)
    command = await configuration(
        access.platform,
        access.tenant,
        issuer=body.issuer,
        client_id=body.client_id,
        client_secret=body.client_secret,
        default_role=body.default_role,
        enforced=body.enforced,
        api_key_days=body.api_key_days,
    )

    def configured(result: Mapping[str, Any]) -> SignOn:
        fields = {name: result[name] for name in ("issuer", "client_id", "default_role", "api_key_days")}
        return SignOn(**fields, enforced=body.enforced, redirect_uri=redirect_uri(access))

    return await perform(request, access, Write(command, access.tenant, configured))


@router.delete("/sign-on", status_code=204, responses=problems(401, 403, 404, 409))
async def remove_sign_on(tenant_id: TenantId, request: Request, access: Manages) -> Response:
    """End sign-on. Its people get in by other ways again; what they signed on with opens their accounts no more."""
    await _require_fresh(access)
    return await perform(request, access, Write(RemoveSignOn(tenant_id=access.tenant), access.tenant, _nothing))


@router.get("/domains", responses=problems(401, 404))
async def list_domains(tenant_id: TenantId, access: Manages) -> Listing[Domain]:
    """The domains that the tenant has claimed, by name; at most 20."""
    async with access.newest_rows() as connection:
        rows = await queries.domains(connection, access.tenant)
    return Listing(data=[domain_of(row) for row in rows], next_cursor=None)


@router.post("/domains", status_code=201, response_model=Domain, responses=problems(401, 403, 404, 409, 422, 503))
async def claim_domain(tenant_id: TenantId, body: NewDomain, request: Request, access: Manages) -> Response:
    """Claim a domain. The answer tells the DNS record that proves it."""
    await _require_fresh(access)
    command = ClaimDomain(tenant_id=access.tenant, domain_name=body.domain)

    def claimed(result: Mapping[str, Any]) -> Domain:
        return Domain(
            domain=result["domain_name"],
            status="claimed",
            record_name=result["record"],
            record_value=result["value"],
            claimed_at=result["claimed_at"],
            proven_at=None,
        )

    return await perform(request, access, Write(command, access.tenant, claimed, status=201))


@router.post("/domains/{domain}/check", status_code=204, responses=problems(401, 403, 404, 409, 422, 503))
async def check_domain(tenant_id: TenantId, domain: DomainName, request: Request, access: Manages) -> Response:
    """Look for the record of a claimed domain in the DNS. Where it is found, the domain is proven."""
    await _require_fresh(access)
    command = CheckDomain(tenant_id=access.tenant, domain_name=domain)
    return await perform(request, access, Write(command, access.tenant, _nothing))


@router.delete("/domains/{domain}", status_code=204, responses=problems(401, 403, 404, 409, 422))
async def release_domain(tenant_id: TenantId, domain: DomainName, request: Request, access: Manages) -> Response:
    """Give a domain up. The tenant's provider speaks for its addresses no more."""
    await _require_fresh(access)
    command = ReleaseDomain(tenant_id=access.tenant, domain_name=domain)
    return await perform(request, access, Write(command, access.tenant, _nothing))


def redirect_uri(access: Access) -> str:
    return f"{access.platform.settings.public_url.rstrip('/')}/v1/auth/oauth/{access.tenant}/callback"


def domain_of(row: DomainRow) -> Domain:
    return Domain(
        domain=row.domain,
        status="claimed" if row.proven_at is None else "proven",
        record_name=f"{DNS_LABEL}.{row.domain}",
        record_value=f"{DNS_VALUE}{row.token}",
        claimed_at=row.claimed_at,
        proven_at=row.proven_at,
        missing_since=row.missing_since,
    )


async def _require_fresh(access: Access) -> None:
    await require_fresh_sign_in(access.platform, access.caller.user_id, access.caller.session_id)


def _nothing(_: Mapping[str, Any]) -> None:
    return None
