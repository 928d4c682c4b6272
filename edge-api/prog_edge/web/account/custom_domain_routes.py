"""The account's routes for a tenant's custom domains. They need no JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final
from urllib.parse import quote

from fastapi import Request
from starlette.responses import Response

from prog_contracts.custom_domains import CustomDomainProblem
from prog_contracts.errors import Conflict, Denied, Invalid, NotFound, ProgError
from prog_edge.web.account.session_routes import AGAIN
from prog_edge.web.ports import Viewer, WebServices
from prog_edge.web.ports.custom_domains import CustomDomainsView
from prog_edge.web.ui.forms import FormState, form_key, refused, sent_form
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import notify, page_router, see
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}/custom-domains")

PROBLEMS: Final[Mapping[CustomDomainProblem, str]] = {
    "no_such_name": "The DNS has no such record yet. A new one can take an hour to be seen.",
    "record_missing": "There is a name like that, without a TXT record. Add the one below.",
    "record_different": "The TXT record says something else. Set the value below.",
    "timed_out": "Your DNS did not answer in time. Check again in a minute.",
    "server_failed": "Your DNS answers with an error. Look whether its zone is in order, its DNSSEC too.",
    "proven_elsewhere": "Another tenant has proven this domain, and keeps it until its record is gone from your DNS.",
    "points_nowhere": "The record is there. The name itself does not lead anywhere yet.",
    "points_elsewhere": "The record is there. The name itself leads somewhere else.",
}
"""What the last look found wrong, with the remedy."""
_REFUSALS: Final = (Conflict, Denied, Invalid, NotFound)


@dataclass(frozen=True, slots=True)
class CustomDomainsPage:
    template: ClassVar[str] = "account/custom_domains.html"
    view: CustomDomainsView
    form: FormState
    section: str = "custom-domains"
    problems: Mapping[CustomDomainProblem, str] = field(default_factory=lambda: PROBLEMS)


@router.get("")
async def custom_domains(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    return render(request, await _page(web, viewer, tenant_id, FormState()))


@router.post("")
async def claim(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    values = await sent_form(request)
    try:
        await web.custom_domains.claim(viewer, tenant_id, values.get("domain", ""), idempotency_key=form_key(values))
    except (Invalid, Conflict, Denied) as error:
        return await _refused(request, web, viewer, tenant_id, error, refused(values, error))
    notify(request, "info", "Set the two records that are shown, then check the domain.")
    return see(_address(tenant_id))


@router.post("/check")
async def check(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    domain = (await sent_form(request)).get("domain", "")
    try:
        status = await web.custom_domains.check(viewer, tenant_id, domain)
    except _REFUSALS as error:
        return await _refused(request, web, viewer, tenant_id, error, FormState(problem=error.message))
    if status == "active":
        notify(request, "success", f"{domain} is active: your pages answer there, and your mails lead there.")
    else:
        notify(request, "info", f"{domain} is proven. It becomes active once it leads here.")
    return see(_address(tenant_id))


@router.post("/release")
async def release(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    domain = (await sent_form(request)).get("domain", "")
    try:
        await web.custom_domains.release(viewer, tenant_id, domain)
    except _REFUSALS as error:
        return await _refused(request, web, viewer, tenant_id, error, FormState(problem=error.message))
    notify(request, "success", f"{domain} is released. Nothing is served there any more.")
    return see(_address(tenant_id))


async def _refused(
    request: Request, web: WebServices, viewer: Viewer, tenant_id: str, error: ProgError, form: FormState
) -> Response:
    if error.code == "fresh_sign_in_required":
        return see(f"{AGAIN}?next={quote(_address(tenant_id), safe='/')}")
    if isinstance(error, Denied) or (isinstance(error, NotFound) and error.code != "custom_domain_not_claimed"):
        raise error
    return render(request, await _page(web, viewer, tenant_id, form), status=422)


async def _page(web: WebServices, viewer: Viewer, tenant_id: str, form: FormState) -> CustomDomainsPage:
    return CustomDomainsPage(await web.custom_domains.view(viewer, tenant_id), form)


def _address(tenant_id: str) -> str:
    return f"/account/tenants/{tenant_id}/custom-domains"
