"""Who may do what in a tenant: one table, which the edge and the workers both ask.

The edge refuses early, so that nobody waits for a command that is denied; the worker that owns the data decides.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal, get_args

from prog_contracts.tenants import TenantRole

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


def allowed(role: TenantRole | None, action: Action) -> bool:
    """Whether a member with this role may do `action`; somebody without a role may do nothing."""
    return role is not None and action in PERMISSIONS[role]


def may_grant(granter: TenantRole | None, granted: TenantRole) -> bool:
    """Whether a member may give the role `granted` to another: only what the granter could do himself."""
    return granter is not None and allowed(granter, "member.invite") and PERMISSIONS[granted] <= PERMISSIONS[granter]
