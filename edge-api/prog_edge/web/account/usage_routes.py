"""The account's page of what a tenant uses of its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from fastapi import Request
from starlette.responses import Response

from prog_contracts.permissions import allowed
from prog_contracts.quotas import QuotaName
from prog_edge.web.account.views import MANAGES_PEOPLE
from prog_edge.web.ports import UsageView
from prog_edge.web.ui.rendering import render
from prog_edge.web.ui.routing import page_router
from prog_edge.web.ui.sessions import Services, SignedIn

router = page_router("/account/tenants/{tenant_id}/usage")

NAMES: Final[Mapping[QuotaName, str]] = {
    "members": "Members and open invitations",
    "api_keys": "API keys",
    "events_per_month": "Events published this month",
    "custom_domains": "Custom domains",
}


@dataclass(frozen=True, slots=True)
class UsagePage:
    template: ClassVar[str] = "account/usage.html"
    view: UsageView
    manages_people: bool
    sees_billing: bool
    section: str = "usage"
    names: Mapping[QuotaName, str] = field(default_factory=lambda: NAMES)


@router.get("")
async def usage(request: Request, tenant_id: str, web: Services, viewer: SignedIn) -> Response:
    view = await web.configuration.usage(viewer, tenant_id)
    role = view.viewer_role
    return render(request, UsagePage(view, role in MANAGES_PEOPLE, allowed(role, "billing.read")))
