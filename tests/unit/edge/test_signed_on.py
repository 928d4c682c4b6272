"""Who reaches a tenant that lets its people in by its own identity provider alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from prog_contracts.errors import Denied
from prog_contracts.ids import new_id
from prog_contracts.tenants import TenantRole
from prog_edge.platform import Platform
from prog_edge.signed_on import require_signed_on
from prog_workers.tenants.queries.sign_on import Enforcement

TENANT, PERSON = new_id("tenant"), new_id("user")
SESSION, IMPERSONATION = new_id("session"), new_id("impersonation")
OURS = frozenset({"acme.example"})


@dataclass
class Known:
    """What the edge knows of the one person and the one tenant, in place of a `Platform`."""

    sign_on: Enforcement | None
    email: str = "ada@acme.example"
    office: str | None = None
    vouched_by: str | None = None
    is_signed_in: bool = True
    signed_on_days_ago: float | None = None

    @property
    def standings(self) -> Any:
        return self

    @property
    def settings(self) -> Any:
        return SimpleNamespace(public_url="https://app.example/")

    async def get(self, tenant_id: str) -> Any:
        assert tenant_id == TENANT
        return None if self.sign_on is None else SimpleNamespace(sign_on=self.sign_on)

    async def person(self, user_id: str) -> Any:
        assert user_id == PERSON
        return SimpleNamespace(email=self.email, platform_role=self.office)

    async def session(self, user_id: str, session_id: str) -> Any:
        assert (user_id, session_id) == (PERSON, SESSION)
        return SimpleNamespace(sign_on_tenant_id=self.vouched_by) if self.is_signed_in else None

    async def signed_on_at(self, user_id: str, tenant_id: str) -> datetime | None:
        assert (user_id, tenant_id) == (PERSON, TENANT)
        days = self.signed_on_days_ago
        return None if days is None else datetime.now(UTC) - timedelta(days=days)


async def is_let_in(known: Known, session_id: str | None, role: TenantRole | None = "admin") -> bool:
    try:
        await require_signed_on(cast("Platform", known), PERSON, session_id, TENANT, role)
    except Denied as error:
        told = error
    else:
        return True
    assert told.code == "sign_on_required"
    assert f"https://app.example/v1/auth/oauth/{TENANT}/start" in told.message
    return False


@pytest.mark.parametrize(
    ("known", "role", "let_in"),
    [
        (Known(Enforcement(OURS)), "admin", False),
        (Known(Enforcement(OURS)), None, False),
        (Known(Enforcement(OURS), vouched_by=TENANT), "admin", True),
        (Known(Enforcement(OURS), vouched_by=TENANT, is_signed_in=False), "admin", False),
        (Known(Enforcement(OURS), vouched_by=new_id("tenant")), "admin", False),
        (Known(Enforcement(OURS)), "owner", True),
        (Known(Enforcement(OURS), email="ada@elsewhere.example"), "admin", True),
        (Known(Enforcement(OURS), email="acme.example@elsewhere.example"), "admin", True),
        (Known(Enforcement(OURS), office="support"), None, True),
        (Known(Enforcement()), "admin", True),
        (Known(None), "admin", True),
    ],
)
async def test_the_tenant_s_provider_has_to_have_vouched_for_the_session(
    known: Known, role: TenantRole | None, let_in: bool
) -> None:
    assert await is_let_in(known, SESSION, role) is let_in


async def test_support_gets_in_in_a_member_s_name() -> None:
    assert await is_let_in(Known(Enforcement(OURS, 30)), IMPERSONATION)


@pytest.mark.parametrize(
    ("known", "role", "let_in"),
    [
        (Known(Enforcement(OURS)), "admin", True),
        (Known(Enforcement(OURS, 30)), "admin", False),
        (Known(Enforcement(OURS, 30), signed_on_days_ago=29.99), "admin", True),
        (Known(Enforcement(OURS, 30), signed_on_days_ago=30.01), "admin", False),
        (Known(Enforcement(OURS, 30)), "owner", True),
        (Known(Enforcement(OURS, 30), email="ada@elsewhere.example"), "admin", True),
        (Known(Enforcement(OURS, 30), office="operator"), "admin", True),
        (Known(Enforcement(frozenset(), 30)), "admin", True),
    ],
)
async def test_a_key_gets_in_for_as_long_after_its_maker_has_signed_on_as_the_tenant_says(
    known: Known, role: TenantRole, let_in: bool
) -> None:
    assert await is_let_in(known, None, role) is let_in
