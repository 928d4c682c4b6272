"""Links by mail that stand for a person for a short while: made, spent once, taken back.

A token is random, and of a kind of its own (`prog_contracts.credentials`). A keyed digest of it is kept, made for its
purpose alone, in a row of that purpose; the token itself rests sealed in the mail until that is sent. Looking at a link
spends nothing: only the command that its page's button sends does.

Whoever spends one locks the account first (`store.user_by_id`): two links of one account are then spent one after the
other, and the second is worth nothing once the first has taken all others back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts import credentials
from prog_contracts.email import SendMail, Template
from prog_contracts.ids import new_id
from prog_contracts.users import LinkPurpose, LinkRefused
from prog_kit import secrets
from prog_workers.users import rules
from prog_workers.users.store import User


@dataclass(frozen=True, slots=True)
class LinkKind:
    """What a link is for, how long it is good, and the form of its token. `purpose` also names the mail's template."""

    purpose: LinkPurpose
    template: Template
    lifetime: timedelta
    token: Callable[[str], str]
    is_token: Callable[[str], bool]


RESET: Final = LinkKind(
    "reset_password", "reset_password", rules.RESET_LIFETIME, credentials.reset_token, credentials.is_reset_token
)


async def made_at(tx: Transaction, kind: LinkKind, user_id: str) -> datetime | None:
    """When the latest link of a kind was made for an account."""
    at: datetime | None = await tx.fetchval(
        "SELECT max(created_at) FROM users.link_tokens WHERE user_id = $1 AND purpose = $2", user_id, kind.purpose
    )
    return at


async def mail_link(tx: Transaction, kind: LinkKind, user: User) -> SendMail:
    """A mail with a new link to the account's address."""
    token = kind.token(secrets.new_token())
    await tx.execute(
        "INSERT INTO users.link_tokens (digest, purpose, user_id, email, created_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        tx.sealer.digest(token, kind.purpose),
        kind.purpose,
        user.user_id,
        user.email,
        tx.now,
        tx.now + kind.lifetime,
    )
    return SendMail(
        mail_id=new_id("mail"),
        template=kind.template,
        to=user.email,
        to_name=user.name,
        data={"name": user.name},
        sealed_data={"token": tx.sealer.seal(token, secrets.MAIL)},
    )


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose link it is."""

    user_id: str
    email: str
    name: str


async def holder(tx: Transaction, kind: LinkKind, token: str) -> Holder | None:
    """The account whose link is good now. It is not spent, and may be by somebody else any moment."""
    if not kind.is_token(token):
        return None
    row = await tx.fetchrow(
        """
        SELECT u.user_id, u.email, u.name FROM users.link_tokens AS t JOIN users.users AS u USING (user_id, email)
        WHERE t.digest = ANY ($1::text[]) AND t.purpose = $2 AND t.spent_at IS NULL AND t.expires_at > $3
              AND u.status = 'active'
        """,
        tx.sealer.digests(token, kind.purpose),
        kind.purpose,
        tx.now,
    )
    return None if row is None else Holder(**dict(row))


async def spend(tx: Transaction, kind: LinkKind, token: str, user: User) -> bool:
    """Spends a link of this account, which its caller has locked; False when it is not good any more."""
    if user.status != "active":
        return False
    spent = await tx.fetchval(
        """
        UPDATE users.link_tokens SET spent_at = $3
        WHERE digest = ANY ($1::text[]) AND purpose = $2 AND spent_at IS NULL AND expires_at > $3
              AND user_id = $4 AND email = $5
        RETURNING true
        """,
        tx.sealer.digests(token, kind.purpose),
        kind.purpose,
        tx.now,
        user.user_id,
        user.email,
    )
    return spent is True


async def take_back(tx: Transaction, user_id: str) -> None:
    """Makes every outstanding link of an account worthless, of whatever kind: its password or address is another."""
    await tx.execute("DELETE FROM users.link_tokens WHERE user_id = $1 AND spent_at IS NULL", user_id)


def refused(tx: Transaction, kind: LinkKind, token: str, client_address: str | None) -> LinkRefused:
    """The record of a link that was not good."""
    return LinkRefused(
        token_digest=tx.sealer.digest(token, "refused_link"), purpose=kind.purpose, client_address=client_address
    )
