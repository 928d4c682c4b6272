"""How much of what a tenant may use on its plan: one table, and the one function that says whether there is room.

The domain that owns a thing counts it and asks here; the edge asks for what no domain counts before it takes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

from prog_contracts.errors import Conflict

QuotaName = Literal["members", "api_keys", "events_per_month", "custom_domains"]
QUOTAS: Final[tuple[QuotaName, ...]] = get_args(QuotaName)
Percent = Literal[80, 100]

Limits = Mapping[QuotaName, int | None]
"""None is without limit."""

FREE_LIMITS: Final[Limits] = {"members": 5, "api_keys": 20, "events_per_month": 10_000, "custom_domains": 1}
PAID_LIMITS: Final[Limits] = {"members": 25, "api_keys": 50, "events_per_month": 1_000_000, "custom_domains": 3}
PLAN_LIMITS: Final[Mapping[str, Limits]] = {
    "starter": {"members": 10, "api_keys": 50, "events_per_month": 100_000, "custom_domains": 2},
    "growth": {"members": 50, "api_keys": 100, "events_per_month": 5_000_000, "custom_domains": 5},
    "scale": {"members": None, "api_keys": 100, "events_per_month": None, "custom_domains": 20},
}
"""By the plan's name in lower case; a paid plan that is not listed has PAID_LIMITS."""

REQUEST_FACTORS: Final[Mapping[str, float]] = {"free": 1.0, "starter": 2.0, "growth": 5.0, "scale": 10.0}
"""How many requests a minute members and keys of a tenant may send, as a multiple of the edge's quotas."""
PAID_REQUEST_FACTOR: Final = 2.0
"""For a paid plan that is not listed."""

_WORDS: Final[Mapping[QuotaName, tuple[str, str]]] = {
    "members": ("members, open invitations among them", "Remove somebody, take an invitation back"),
    "api_keys": ("API keys at a time", "Revoke one that is not needed"),
    "events_per_month": ("events a month", "Wait for the next month"),
    "custom_domains": ("custom domains", "Release one"),
}
_CODES: Final[Mapping[QuotaName, str]] = {
    "members": "member_limit",
    "api_keys": "api_key_limit",
    "events_per_month": "event_limit",
    "custom_domains": "custom_domain_limit",
}


def limits_of(plan: str | None) -> Limits:
    """What a tenant may use on a plan; None and `free` are the free one."""
    name = "free" if plan is None else plan.lower()
    return FREE_LIMITS if name == "free" else PLAN_LIMITS.get(name, PAID_LIMITS)


def request_factor(plan: str | None) -> float:
    return 1.0 if plan is None else REQUEST_FACTORS.get(plan.lower(), PAID_REQUEST_FACTOR)


def refusal(quota: QuotaName, limit: int | None, used: int, wanted: int = 1) -> Conflict | None:
    """Why `wanted` more cannot be had where `used` are, with the way to more; None where there is room."""
    if limit is None or used + wanted <= limit:
        return None
    what, remedy = _WORDS[quota]
    return Conflict(
        f"The plan allows {limit:,} {what}, and {used:,} are used. {remedy}, or choose a larger plan under Billing.",
        code=_CODES[quota],
    )


def reached(limit: int | None, used: int) -> Percent | None:
    """What mark of a limit is reached, of which the tenant's owners are told."""
    if limit is None or limit == 0:
        return None
    if used >= limit:
        return 100
    return 80 if used * 100 >= limit * 80 else None
