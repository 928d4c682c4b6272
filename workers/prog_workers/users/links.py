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
from typing import Final, Literal

from prog_broker.outcome import Reply
from prog_broker.transaction import Transaction
from prog_contracts import credentials
from prog_contracts.email import SendMail, Template
from prog_contracts.ids import new_id
from prog_contracts.inputs import normalize_email
from prog_contracts.users import LinkPurpose, LinkRefused, LinkRequested
from prog_kit import secrets
from prog_workers.users import errors, rules, store
from prog_workers.users.store import User

LinkOutcome = Literal["mailed", "unknown_user", "disabled", "unverified", "too_soon", "sign_on_only"]


@dataclass(frozen=True, slots=True)
class LinkKind:
    """What a link is for, how long it is good, and the form of its token.

    `for_unverified` says whether it may go to an address that nobody has verified yet, `signs_in` whether it opens a
    session by itself.
    """

    purpose: LinkPurpose
    template: Template
    lifetime: timedelta
    token: Callable[[str], str]
    is_token: Callable[[str], bool]
    for_unverified: bool
    signs_in: bool


RESET: Final = LinkKind(
    purpose="reset_password",
    template="reset_password",
    lifetime=rules.RESET_LIFETIME,
    token=credentials.reset_token,
    is_token=credentials.is_reset_token,
    for_unverified=True,
    signs_in=False,
)
"""It may verify an address, for the password of whoever signed it up is no longer good afterwards."""

MAGIC: Final = LinkKind(
    purpose="magic_link",
    template="magic_link",
    lifetime=rules.MAGIC_LINK_LIFETIME,
    token=credentials.magic_link_token,
    is_token=credentials.is_magic_link_token,
    for_unverified=False,
    signs_in=True,
)
"""It verifies nothing: a password that a stranger chose at sign-up would otherwise become good with it."""


async def ask(
    tx: Transaction, kind: LinkKind, email: str, client_address: str | None, site_tenant_id: str | None = None
) -> Reply:
    """What comes of a wish for a link to `email`: one reply for everybody, the record, and the mail if there is one.

    Raises Invalid for what is no address.
    """
    address = normalize_email(email)
    user = await store.user_by_email(tx, address)
    outcome = await _outcome(tx, kind, user)
    requested = LinkRequested(
        email_digest=tx.sealer.digest(address, "email"),
        purpose=kind.purpose,
        outcome=outcome,
        user_id=None if user is None else user.user_id,
        client_address=client_address,
    )
    mails = [await _mail(tx, kind, user, site_tenant_id)] if user is not None and outcome == "mailed" else []
    return Reply({"status": "accepted"}, requested, *mails)


async def _outcome(tx: Transaction, kind: LinkKind, user: User | None) -> LinkOutcome:
    if user is None:
        return "unknown_user"
    if user.status != "active":
        return "disabled"
    if user.email_verified_at is None and not kind.for_unverified:
        return "unverified"
    if kind.signs_in and await store.must_sign_on(tx, user):
        return "sign_on_only"
    return "mailed" if rules.may_mail_again(await _made_at(tx, kind, user.user_id), tx.now) else "too_soon"


async def _made_at(tx: Transaction, kind: LinkKind, user_id: str) -> datetime | None:
    """When the latest link of a kind was made for an account."""
    at: datetime | None = await tx.fetchval(
        "SELECT max(created_at) FROM users.link_tokens WHERE user_id = $1 AND purpose = $2", user_id, kind.purpose
    )
    return at


async def _mail(tx: Transaction, kind: LinkKind, user: User, site_tenant_id: str | None) -> SendMail:
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
        site_tenant_id=site_tenant_id,
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


async def take_back(tx: Transaction, user_id: str, kind: LinkKind | None = None) -> None:
    """Makes the outstanding links of an account worthless: those of a kind, or all when password or address change."""
    await tx.execute(
        "DELETE FROM users.link_tokens WHERE user_id = $1 AND spent_at IS NULL AND ($2::text IS NULL OR purpose = $2)",
        user_id,
        None if kind is None else kind.purpose,
    )


def refusal(tx: Transaction, kind: LinkKind, token: str, client_address: str | None) -> Reply:
    """The answer to a link that is not good, with its record."""
    digest = tx.sealer.digest(token, "refused_link")
    refused = LinkRefused(token_digest=digest, purpose=kind.purpose, client_address=client_address)
    return Reply(None, refused, error=errors.token_invalid())
