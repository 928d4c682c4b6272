"""Who may do what in a tenant: one table, which the edge and the workers both ask.

The edge refuses early, so that nobody waits for a command that is denied; the worker that owns the data decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from prog_contracts.email import Template
from prog_contracts.tenants import BillingChanged, TenantRole

Action = Literal[
    "tenant.read",
    "tenant.update",
    "tenant.delete",
    "config.read",
    "config.update",
    "member.read",
    "member.invite",
    "member.manage",
    "billing.read",
    "billing.manage",
    "clock.move",
    "event.read",
    "event.publish",
    "audit.read",
    "api_key.manage",
]

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)
ROLES: Final[tuple[TenantRole, ...]] = get_args(TenantRole)

_VIEWER: Final[frozenset[Action]] = frozenset({"tenant.read", "config.read", "member.read", "event.read"})
_MEMBER: Final[frozenset[Action]] = _VIEWER | {"event.publish"}
_BILLING: Final[frozenset[Action]] = _VIEWER | {"billing.read", "billing.manage"}
_OWNER: Final[frozenset[Action]] = frozenset(ACTIONS)

PERMISSIONS: Final = MappingProxyType[TenantRole, frozenset[Action]](
    {
        "owner": _OWNER,
        "admin": _OWNER - {"tenant.delete"},
        "billing": _BILLING,
        "member": _MEMBER,
        "viewer": _VIEWER,
    }
)


BILLING_PREFIX: Final = "prognetwork.payments."
BILLING_TYPES: Final = frozenset({BillingChanged.TYPE})
"""Messages of other domains that tell how a tenant pays."""
BILLING_TEMPLATES: Final[frozenset[Template]] = frozenset(
    {"receipt", "payment_failed", "payment_recovered", "subscription_canceled"}
)
"""Mails that tell how a tenant pays."""
_MAIL_PREFIX: Final = "prognetwork.email."


def concerns_billing(type_name: str, body: Mapping[str, Any] | None) -> bool:
    """Whether a message tells what only those may know whose role allows `billing.read`."""
    if type_name.startswith(BILLING_PREFIX) or type_name in BILLING_TYPES:
        return True
    return type_name.startswith(_MAIL_PREFIX) and body is not None and body.get("template") in BILLING_TEMPLATES


def allowed(role: TenantRole | None, action: Action) -> bool:
    """Whether a member with this role may do `action`; somebody without a role may do nothing."""
    return role is not None and action in PERMISSIONS[role]


def may_grant(granter: TenantRole | None, granted: TenantRole) -> bool:
    """Whether a member may give the role `granted` to another: only what the granter could do himself."""
    return granter is not None and allowed(granter, "member.invite") and PERMISSIONS[granted] <= PERMISSIONS[granter]


def may_manage(manager: TenantRole | None, member: TenantRole) -> bool:
    """Whether a member may change or remove another of the role `member`: only whoever can do no more than himself."""
    return manager is not None and allowed(manager, "member.manage") and PERMISSIONS[member] <= PERMISSIONS[manager]
