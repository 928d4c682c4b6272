"""Who may do what in a tenant: one table, which the edge and the workers both ask.

The edge refuses early, so that nobody waits for a command that is denied; the worker that owns the data decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from prog_contracts.email import Template
from prog_contracts.errors import Conflict
from prog_contracts.tenants import BillingChanged, TenantRole, TenantStatus

Action = Literal[
    "tenant.read",
    "tenant.update",
    "tenant.delete",
    "tenant.export",
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
    "client.manage",
    "sign_on.manage",
    "custom_domain.manage",
    "scim.manage",
    "directory.manage",
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
        "admin": _OWNER - {"tenant.delete", "tenant.export"},
        "billing": _BILLING,
        "member": _MEMBER,
        "viewer": _VIEWER,
    }
)

NOT_FOR_KEYS: Final[frozenset[Action]] = frozenset(
    {
        "api_key.manage",
        "client.manage",
        "tenant.delete",
        "tenant.export",
        "sign_on.manage",
        "custom_domain.manage",
        "directory.manage",
    }
)
"""What no API key and no OAuth client may do, whoever made it: one that got out would make itself successors, end the
tenant, carry it off, let somebody else's provider say who its people are or somebody else's host ask for their
passwords, or say itself which role a group gives."""
SCOPES: Final[tuple[Action, ...]] = tuple(action for action in ACTIONS if action not in NOT_FOR_KEYS)
"""What an API key, or an OAuth client, may be made for."""

NOT_WHILE_IMPERSONATING: Final[frozenset[Action]] = NOT_FOR_KEYS | {
    "member.invite",
    "member.manage",
    "billing.manage",
    "scim.manage",
}
"""What nobody does in somebody else's name: what gives anybody access that outlasts it or takes access away, what moves
money, and what ends the tenant."""
IMPERSONATED: Final[tuple[Action, ...]] = tuple(action for action in ACTIONS if action not in NOT_WHILE_IMPERSONATING)
"""Within which bounds an operator acts in a member's name."""

_READS: Final[frozenset[Action]] = frozenset(action for action in ACTIONS if action.endswith(".read"))

POSSIBLE: Final = MappingProxyType[TenantStatus, frozenset[Action]](
    {
        "provisioning": _OWNER,
        "active": _OWNER,
        "suspended": _READS | {"billing.manage", "tenant.delete", "tenant.export", "clock.move"},
        "deleting": _READS | {"tenant.delete", "tenant.export", "clock.move"},
        "deleted": _READS,
    }
)
"""What can be done in a tenant of each status, whoever asks, operators of the platform among them. A suspended tenant
can be read, exported, paid for and deleted; one that is being deleted can be read, exported and, by the right to
delete, restored. In both time goes on."""

_CLOSED: Final = MappingProxyType[TenantStatus, str](
    {
        "suspended": "The tenant is suspended: it can be read and paid for, and nothing else, until it is resumed.",
        "deleting": "The tenant is being deleted: it can be read, and nothing else, unless an owner restores it.",
        "deleted": "The tenant was deleted.",
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


def rights(role: TenantRole | None, scopes: Collection[str] | None = None) -> frozenset[Action]:
    """All that a member with this role may do; with the `scopes` of an API key, all that the key may do for them.

    A key can what its scopes and its maker's present role both allow; so can an operator in the member's name, whose
    scopes are `IMPERSONATED`. Somebody without a role may do nothing.
    """
    of_role = frozenset[Action]() if role is None else PERMISSIONS[role]
    return of_role if scopes is None else (of_role - NOT_FOR_KEYS).intersection(scopes)


def allowed(role: TenantRole | None, action: Action, scopes: Collection[str] | None = None) -> bool:
    """Whether a member with this role, or an API key of theirs with these scopes, may do `action`."""
    return action in rights(role, scopes)


def possible(status: TenantStatus, action: Action) -> bool:
    """Whether a tenant of this status lets anybody do `action`."""
    return action in POSSIBLE[status]


def closed(status: TenantStatus) -> Conflict:
    """What whoever asks for more than is possible in a tenant of this status is told."""
    return Conflict(_CLOSED[status], code="tenant_closed")


def covers(role: TenantRole | None, other: TenantRole, scopes: Collection[str] | None = None) -> bool:
    """Whether a member with this role, or a key of theirs, may do all that a member with the role `other` may.

    No key covers a role that has a right which keys cannot have.
    """
    return PERMISSIONS[other] <= rights(role, scopes)


def may_grant(granter: TenantRole | None, granted: TenantRole, scopes: Collection[str] | None = None) -> bool:
    """Whether a member, or a key of theirs, may give the role `granted` to another: only what they could do too."""
    return allowed(granter, "member.invite", scopes) and covers(granter, granted, scopes)


def may_manage(manager: TenantRole | None, member: TenantRole, scopes: Collection[str] | None = None) -> bool:
    """Whether a member may change or remove another of the role `member`: only whoever can do no more than himself."""
    return allowed(manager, "member.manage", scopes) and covers(manager, member, scopes)
