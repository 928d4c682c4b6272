"""Decisions about operators who act in somebody's name."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from prog_contracts.errors import ProgError
from prog_contracts.users import PlatformRole
from prog_workers.users import errors, rules

IMPERSONATIONS_KEPT: Final = timedelta(days=365)
"""So long the platform lists them with their reasons; the audit trail keeps for good that they were."""


def impersonation_claims(
    *,
    issuer: str,
    user_id: str,
    operator_id: str,
    impersonation_id: str,
    token_id: str,
    now: datetime,
    expires_at: datetime,
) -> dict[str, Any]:
    """The claims of an operator's access token in somebody's name: `act` says who acts (RFC 8693, section 4.1).

    It tells no `amr` and no `auth_time`, for its subject was not authenticated.
    """
    return {
        "iss": issuer,
        "aud": rules.AUDIENCE,
        "sub": user_id,
        "act": {"sub": operator_id},
        "sid": impersonation_id,
        "jti": token_id,
        "iat": int(now.timestamp()),
        "exp": int(expires_at.timestamp()),
    }


def impersonation_refusal(
    platform_role: PlatformRole | None, status: rules.AccountStatus, *, ending: bool
) -> ProgError | None:
    """Why nobody acts in the name of an account, or None. One of the staff's would lend its office to another."""
    if platform_role is not None:
        return errors.staff_not_impersonated()
    return errors.account_not_impersonated() if status != "active" or ending else None
