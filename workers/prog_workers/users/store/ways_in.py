"""What decides about a sign-in by password, besides the account itself: asked at once, for somebody waits."""

from __future__ import annotations

from dataclasses import dataclass

from prog_broker.transaction import Transaction
from prog_workers.users.rules import is_bound
from prog_workers.users.store.accounts import User
from prog_workers.users.store.sign_on import SignOnRule


@dataclass(frozen=True, slots=True)
class WaysIn:
    """The stored hash of somebody's password, and whether more is asked for, or another way is the only one."""

    password_hash: str | None
    second_factor: bool
    must_sign_on: bool


async def ways_in(tx: Transaction, email: str, user: User | None) -> WaysIn:
    """Those of an account that is locked by now, or, by as much work, of nobody's address.

    A question of its own: one that also waits for the lock would be answered by what was there before it waited.
    """
    row = await tx.fetchrow(
        """
        SELECT p.hash, d.sign_on_tenant_id, d.enforced, d.owners,
               EXISTS (SELECT FROM users.totp_factors AS t WHERE t.user_id = who.user_id)
               OR EXISTS (SELECT FROM users.passkeys AS k WHERE k.user_id = who.user_id) AS second_factor
        FROM (VALUES ($1, $2)) AS who (user_id, domain)
        LEFT JOIN users.passwords AS p ON p.user_id = who.user_id
        LEFT JOIN users.sign_on_domains AS d ON d.domain = who.domain
        """,
        "" if user is None else user.user_id,
        email.rpartition("@")[2],
    )
    assert row is not None
    rule = None
    if row["sign_on_tenant_id"] is not None:
        rule = SignOnRule(row["sign_on_tenant_id"], row["enforced"], tuple(row["owners"]))
    bound = user is not None and user.platform_role is None and is_bound(rule, user.user_id)
    return WaysIn(row["hash"], row["second_factor"], bound)
