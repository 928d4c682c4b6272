"""What workers, the scheduler and the relay do for one message, one person or one batch, as their roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from prog_broker import relay, sql
from prog_broker.transaction import Transaction
from prog_contracts.erasure import Person
from prog_scheduler import clocks, timers
from prog_scheduler.housekeeping import PURGES
from prog_workers.email import store as email
from prog_workers.email.store import retention as mail_retention
from prog_workers.events.audit import writing
from prog_workers.payments import store as payments
from prog_workers.tenants import store as tenants
from prog_workers.tenants.store import retention as tenant_retention
from prog_workers.users import store as users
from prog_workers.users.store import authorizations, clients
from tests.component.plans.cases import ADA, EMAIL, LONG_AGO, NOW, PAGE, TENANTS
from tests.component.plans.seed import named

BATCH: Final = 50
"""Rows of one batch of what is cleared away, in place of thousands."""

HORIZON: Final = "18446744073709551615"
SOMEBODY: Final = Person(user_id=ADA, email=EMAIL, name="Person Number 777")


@dataclass(frozen=True, slots=True)
class Work:
    """What `role` does in the large tenant, where it takes on `takes_on` if that is named."""

    role: str
    do: Callable[[Transaction], Awaitable[object]]
    takes_on: str | None = None
    most: int = PAGE


async def _purge(tx: Transaction, job: str) -> None:
    await tx.execute(PURGES[job], BATCH)


async def _ways_in(tx: Transaction) -> None:
    user = await users.user_by_email(tx, EMAIL)
    assert user is not None
    await users.ways_in(tx, EMAIL, user)


_USERS: Final[Mapping[str, Callable[[Transaction], Awaitable[object]]]] = {
    "account by address": lambda tx: users.user_by_email(tx, EMAIL),
    "its password": lambda tx: users.password_hash(tx, EMAIL),
    "its ways in": _ways_in,
    "its last link": lambda tx: users.last_link(tx, ADA),
    "spending a link": lambda tx: users.spend_link_token(tx, ["link777", "other"]),
    "a refresh token": lambda tx: users.presented_token(tx, named("session", 777), ["refresh777"]),
    "ending a session": lambda tx: users.end_session(tx, named("session", 777), "signed_out"),
    "ending all sessions": lambda tx: users.end_sessions(tx, ADA, "revoked"),
    "ending what a person let clients do": lambda tx: authorizations.end_authorizations(tx, "x", NOW, user_id=ADA),
    "ending what a client was let do": lambda tx: authorizations.end_authorizations(
        tx, "x", NOW, client_id=named("client", 777)
    ),
    "ending impersonations of a person": lambda tx: users.end_impersonations(tx, "account_changed", user_id=ADA),
    "ending impersonations of a session": lambda tx: users.end_impersonations(
        tx, "session_ended", by_session_id=named("session", 777)
    ),
    "a mail that was sent": lambda tx: users.set_verification_mail_sent(tx, named("mail", 777), NOW),
    "a member who left": lambda tx: users.clear_home_tenant(tx, TENANTS["large"], ADA),
    "keys of a member who left": lambda tx: users.revoke_api_keys(tx, at=NOW, maker=ADA),
    "clients of a member who left": lambda tx: clients.release_clients(tx, ADA),
    "a key's own tenant": lambda tx: users.api_key(tx, named("apikey", 777)),
    "old sessions": lambda tx: users.purge_sessions(tx, LONG_AGO, BATCH),
    "old links": lambda tx: users.purge_link_tokens(tx, LONG_AGO, BATCH),
    "old sign-ins": lambda tx: users.purge_pending_sign_ins(tx, LONG_AGO, BATCH),
    "old codes": lambda tx: authorizations.purge_codes(tx, LONG_AGO, BATCH),
    "old access tokens": lambda tx: authorizations.purge_access_tokens(tx, BATCH),
    "old authorizations": lambda tx: authorizations.purge_authorizations(tx, LONG_AGO, BATCH),
    "old impersonations": lambda tx: users.purge_impersonations(tx, LONG_AGO, BATCH),
    "a tenant's sign-on that is gone": lambda tx: users.drop_sign_on(tx, TENANTS["small"]),
}

_TENANTS: Final[Mapping[str, Callable[[Transaction], Awaitable[object]]]] = {
    "a member by address": lambda tx: tenants.is_member(tx, EMAIL),
    "the same, locked": lambda tx: tenants.member_at(tx, EMAIL),
    "owners": tenants.owners,
    "owners, locked": tenants.lock_owners,
    "seats": lambda tx: tenants.seats(tx, inviting=EMAIL),
    "a new name everywhere": lambda tx: tenants.rename_person(tx, ADA, "Ada"),
    "memberships": lambda tx: tenants.memberships_of(tx, ADA),
    "another owner": lambda tx: tenants.hand_over(tx, ADA),
    "an invitation by its token": lambda tx: tenants.open_invitation(tx, ["digest777", "other"]),
    "an invitation by its address": lambda tx: tenants.open_invitation_at(tx, EMAIL),
    "invitations of an entry": lambda tx: tenants.directory_invitations(tx, named("diruser", 777)),
    "an entry by account": lambda tx: tenants.directory_user_of(tx, ADA),
    "an entry by address": lambda tx: tenants.directory_user_at(tx, EMAIL),
    "forgotten invitations": lambda tx: tenants.forget_invitations(tx, ADA, email=EMAIL, forgotten="Forgotten"),
    "old invitations": lambda tx: tenant_retention.forget_old_invitations(tx, LONG_AGO, BATCH),
    "forgotten entries": lambda tx: tenants.forget_directory_users(tx, ADA, email=EMAIL),
}

_EMAIL: Final[Mapping[str, Callable[[Transaction], Awaitable[object]]]] = {
    "whom not to write to": lambda tx: email.is_suppressed(tx, EMAIL),
    "leads of an address": lambda tx: email.leads_since(tx, EMAIL, LONG_AGO),
    "another address for bills": lambda tx: email.readdress_customer(tx, "Ada", EMAIL),
    "old mails": lambda tx: mail_retention.forget_old_mails(tx, LONG_AGO, BATCH),
    "a forgotten person": lambda tx: email.forget_person(tx, SOMEBODY, "forgotten"),
}

_PAYMENTS: Final[Mapping[str, Callable[[Transaction], Awaitable[object]]]] = {
    "a living subscription": payments.subscriptions.living,
    "open invoices": lambda tx: payments.invoices.open_of_subscription(tx, named("subscription", 7)),
    "a billed period": lambda tx: payments.invoices.billed(tx, named("subscription", 7), NOW),
    "any bill": payments.invoices.was_billed,
}

_SCHEDULER: Final[Mapping[str, Callable[[Transaction], Awaitable[object]]]] = {
    "timers that are due": lambda tx: tx.fetch(timers.DUE_ON_THE_WALL, NOW + timedelta(hours=1), BATCH),
    "the next timer of a tenant": lambda tx: tx.fetchval(clocks.NEXT_DUE, tx.tenant_id, NOW),
}

_RELAY: Final[Mapping[str, Callable[[Transaction], Awaitable[object]]]] = {
    "messages to publish": lambda tx: tx.fetch(relay.PENDING, "0", 0, BATCH),
    "commands to publish": lambda tx: tx.fetch(sql.COMMANDS_PENDING, BATCH),
}

_RETRIES: Final[Mapping[str, Callable[[Transaction], Awaitable[object]]]] = {
    "retries that are due": lambda tx: tx.fetch(
        sql.DUE_RETRIES, "email", ["prog.users.events"] * 4, [0, 1, 2, 3], BATCH
    ),
    "when the next is due": lambda tx: tx.fetchval(sql.NEXT_DUE_SECONDS, "email"),
    "orphans": lambda tx: tx.fetch(sql.ORPHANED, "email", ["prog.users.events"] * 4, [0, 1, 2, 3], BATCH),
    "letters that are redriven": lambda tx: tx.fetch(sql.HANDLED, "email", [tx.message_id]),
}

_AUDITOR: Final[Mapping[str, Callable[[Transaction], Awaitable[object]]]] = {
    "what was logged": lambda tx: writing.logged(tx.connection, ("0", 0), HORIZON, BATCH),
    "what was told": lambda tx: writing.told(tx.connection, HORIZON, BATCH),
    "old origins": lambda tx: writing.forget_old_origins(tx.connection, 300, BATCH),
    "a person's origins": lambda tx: writing.forget_origins(tx.connection, ADA),
}


def _all(role: str, does: Mapping[str, Callable[[Transaction], Awaitable[object]]], **more: Any) -> dict[str, Work]:
    name = more.get("takes_on") or role
    return {f"{name.removeprefix('prog_')}: {what}": Work(role, do, **more) for what, do in does.items()}


WORK: Final[Mapping[str, Work]] = {
    **_all("prog_users", _USERS),
    **_all("prog_tenants", _TENANTS),
    **_all("prog_email", {**_EMAIL, **_RETRIES}),
    **_all("prog_payments", _PAYMENTS),
    **_all("prog_scheduler", _SCHEDULER),
    **{
        f"scheduler: {job}": Work("prog_scheduler", lambda tx, job=job: _purge(tx, job))  # type: ignore[misc]
        for job in PURGES
    },
    **_all("prog_relay", _RELAY),
    **_all("prog_events", _AUDITOR, takes_on="prog_auditor"),
}
