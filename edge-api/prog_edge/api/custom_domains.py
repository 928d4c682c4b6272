"""Custom domains: host names of a tenant's own, at which its account pages answer.

Every change needs a sign-in of the last ten minutes: who changes these decides which host asks people for passwords.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Request
from pydantic import Field
from starlette.responses import Response

from prog_contracts.custom_domains import (
    RECORD_LABEL,
    CheckCustomDomain,
    ClaimCustomDomain,
    CustomDomainProblem,
    CustomDomainStatus,
    ReleaseCustomDomain,
)
from prog_contracts.hosts import PlatformHosts
from prog_contracts.sign_on import DNS_VALUE
from prog_edge.access import Access, Needs
from prog_edge.api.shapes import Body, Listing, Resource, problems
from prog_edge.stepping_up import require_fresh_sign_in
from prog_edge.writes import Write, perform
from prog_kit.hosts import hosts_of
from prog_workers.tenants.queries.custom_domains import CustomDomainRow, custom_domains

router = APIRouter(prefix="/v1/tenants/{tenant_id}/custom-domains", tags=["Tenants"])

Manages = Annotated[Access, Depends(Needs("custom_domain.manage", "path"))]
TenantId = Annotated[str, Path(max_length=100)]
DomainName = Annotated[str, Path(max_length=255)]


class NewCustomDomain(Body):
    domain: str = Field(min_length=1, max_length=255, examples=["accounts.acme.com"])


class CustomDomain(Resource):
    """A host name. Pages answer there from when its record is found, for as long as it is there; once the name leads to
    `target`, links in the tenant's mails lead there too."""

    domain: str
    status: CustomDomainStatus
    url: str = Field(description="Where the pages are.", examples=["https://accounts.acme.com"])
    record_name: str = Field(examples=["_prognetwork-host.accounts.acme.com"])
    record_type: Literal["TXT"] = "TXT"
    record_value: str = Field(examples=["prognetwork-verify=3nK…"])
    target: str = Field(
        description="Where the name is to lead: by a CNAME, or at the top of a zone by what its provider has for that.",
        examples=["app.example.com"],
    )
    claimed_at: datetime
    proven_at: datetime | None = None
    active_at: datetime | None = Field(None, description="Since when it leads to the platform.")
    missing_since: datetime | None = Field(
        None, description="Since when the record of a proven domain is gone. After a week the domain is lost."
    )
    lost_at: datetime | None = None
    looked_at: datetime | None = Field(None, description="When its DNS was asked last.")
    problem: CustomDomainProblem | None = Field(
        None, description="What that found wrong.", examples=["points_elsewhere"]
    )
    seen: list[str] = Field(default=[], description="What there was instead.", examples=[["acme.pages.example"]])


class CustomDomainCheck(Resource):
    """What a look at a proven domain's DNS came to."""

    domain: str
    status: Literal["proven", "active"]
    problem: CustomDomainProblem | None = Field(description="Why it is not active yet.", examples=["points_elsewhere"])
    seen: list[str] = Field(description="Where the name leads instead.", examples=[["acme.pages.example"]])


@router.get("", responses=problems(401, 404))
async def list_custom_domains(tenant_id: TenantId, access: Manages) -> Listing[CustomDomain]:
    """The tenant's custom domains, by name; as many as its plan allows."""
    hosts = hosts_of(access.platform.settings)
    async with access.newest_rows() as connection:
        rows = await custom_domains(connection, access.tenant)
    return Listing(data=[custom_domain_of(row, hosts) for row in rows], next_cursor=None)


@router.post("", status_code=201, response_model=CustomDomain, responses=problems(401, 403, 404, 409, 422, 503))
async def claim_custom_domain(
    tenant_id: TenantId, body: NewCustomDomain, request: Request, access: Manages
) -> Response:
    """Claim a host name. The answer tells the DNS record that proves it, and where the name is to lead."""
    await _require_fresh(access)
    hosts = hosts_of(access.platform.settings)
    command = ClaimCustomDomain(tenant_id=access.tenant, domain_name=body.domain)

    def claimed(result: Mapping[str, Any]) -> CustomDomain:
        return CustomDomain(
            domain=result["domain_name"],
            status="pending",
            url=hosts.url_of(result["domain_name"]),
            record_name=result["record"],
            record_value=result["value"],
            target=result["target"],
            claimed_at=result["claimed_at"],
        )

    return await perform(request, access, Write(command, access.tenant, claimed, status=201))


@router.post("/{domain}/check", response_model=CustomDomainCheck, responses=problems(401, 403, 404, 409, 422, 503))
async def check_custom_domain(tenant_id: TenantId, domain: DomainName, request: Request, access: Manages) -> Response:
    """Look for the record of a claimed domain, and where its name leads.

    A record that is not there, says something else, or cannot be looked up is told apart by the code: each with 409.
    """
    await _require_fresh(access)
    command = CheckCustomDomain(tenant_id=access.tenant, domain_name=domain)

    def checked(result: Mapping[str, Any]) -> CustomDomainCheck:
        return CustomDomainCheck(
            domain=result["domain_name"], status=result["status"], problem=result["problem"], seen=result["seen"]
        )

    answer = await perform(request, access, Write(command, access.tenant, checked))
    access.platform.hosts.forget()
    return answer


@router.delete("/{domain}", status_code=204, responses=problems(401, 403, 404, 409, 422))
async def release_custom_domain(tenant_id: TenantId, domain: DomainName, request: Request, access: Manages) -> Response:
    """Give a custom domain up. Nothing is served there any more."""
    await _require_fresh(access)
    command = ReleaseCustomDomain(tenant_id=access.tenant, domain_name=domain)
    answer = await perform(request, access, Write(command, access.tenant, _nothing))
    access.platform.hosts.forget()
    return answer


def custom_domain_of(row: CustomDomainRow, hosts: PlatformHosts) -> CustomDomain:
    return CustomDomain(
        domain=row.domain,
        status=row.status,
        url=hosts.url_of(row.domain),
        record_name=f"{RECORD_LABEL}.{row.domain}",
        record_value=f"{DNS_VALUE}{row.token}",
        target=hosts.target,
        claimed_at=row.claimed_at,
        proven_at=row.proven_at,
        active_at=row.active_at,
        missing_since=row.missing_since,
        lost_at=row.lost_at,
        looked_at=row.looked_at,
        problem=row.problem,
        seen=list(row.seen),
    )


async def _require_fresh(access: Access) -> None:
    await require_fresh_sign_in(access.platform, access.caller.user_id, access.caller.session_id)


def _nothing(_: Mapping[str, Any]) -> None:
    return None
