"""Sign up, verify the address, make the first administrator."""

from __future__ import annotations

from functools import partial
from typing import Final

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts import credentials
from prog_contracts.actors import is_process
from prog_contracts.email import SendMail
from prog_contracts.ids import new_id
from prog_contracts.inputs import normalize_email
from prog_contracts.users import (
    EmailVerified,
    EnsureAdministrator,
    RegisterUser,
    ResendVerification,
    UserCreated,
    VerifyEmail,
)
from prog_kit import secrets
from prog_workers.users import errors, passwords, rules, store
from prog_workers.users.handlers.domain import open_sealed, users

_DIGEST: Final = "verify_email"


@users.performs(RegisterUser)
async def register_user(command: RegisterUser, work: Work) -> Finish:
    """Makes an account and mails the link that verifies its address.

    A known address gets the same answer after the same work. Where nobody has verified it yet, this sign-up gets a
    link of its own, which makes it the one that counts if the holder of the mailbox opens it.
    """
    async with work.transaction() as tx:
        password = open_sealed(tx, command.sealed_password, secrets.PASSWORD, "password")
    sign_up = rules.checked_sign_up(command.email, command.name, password, command.tenant_name)
    await passwords.require_good(sign_up.password, email=sign_up.email, name=sign_up.name)
    password_hash = await passwords.hash_password(sign_up.password)

    async def record(tx: Transaction) -> Outcome:
        mail = partial(_verification_mail, tx, command.site_tenant_id)
        created = UserCreated(
            user_id=command.user_id,
            email=sign_up.email,
            name=sign_up.name,
            created_at=tx.now,
            tenant_name=sign_up.tenant_name,
        )
        if await store.insert_user(tx, command.user_id, sign_up, password_hash):
            return Reply(created, created, await mail(command.user_id, sign_up.email, sign_up.name))
        existing = await store.user_by_email(tx, sign_up.email)
        if existing is None or not await _may_mail(tx, existing):
            return Reply(created)
        pending = store.PendingSignUp(sign_up.name, password_hash, sign_up.tenant_name)
        return Reply(created, await mail(existing.user_id, existing.email, sign_up.name, pending))

    return record


@users.performs(EnsureAdministrator)
async def ensure_administrator(command: EnsureAdministrator, work: Work) -> Finish:
    """Makes a platform operator whose address counts as verified; leaves an account with this address as it is."""
    async with work.transaction() as tx:
        if not is_process(tx.actor):
            raise errors.not_permitted()
        password = open_sealed(tx, command.sealed_password, secrets.PASSWORD, "password")
    sign_up = rules.checked_sign_up(command.email, command.name, password)
    await passwords.require_good(sign_up.password, email=sign_up.email, name=sign_up.name)
    password_hash = await passwords.hash_password(sign_up.password)

    async def record(tx: Transaction) -> Outcome:
        added = await store.insert_user(
            tx, command.user_id, sign_up, password_hash, platform_role="operator", verified=True
        )
        if not added:
            existing = await store.user_by_email(tx, sign_up.email)
            return Reply({"user_id": None if existing is None else existing.user_id, "created": False})
        return UserCreated(
            user_id=command.user_id,
            email=sign_up.email,
            name=sign_up.name,
            created_at=tx.now,
            email_verified=True,
            platform_role="operator",
        )

    return record


@users.handles(VerifyEmail)
async def verify_email(command: VerifyEmail, tx: Transaction) -> EmailVerified:
    """Spends the token of a verification mail. Opening the link a second time is told apart from a bad link."""
    token = open_sealed(tx, command.sealed_token, secrets.TOKEN, "token")
    if not credentials.is_verification_token(token):
        raise errors.token_invalid()
    digests = tx.sealer.digests(token, _DIGEST)
    spent = await store.spend_link_token(tx, digests)
    if spent is None:
        raise errors.already_verified() if await store.was_verified_by(tx, digests) else errors.token_invalid()
    user_id, email, pending = spent
    user = await store.mark_verified(tx, user_id, pending)
    if user is None or user.email != email:
        raise errors.token_invalid()
    return EmailVerified(
        user_id=user.user_id,
        email=user.email,
        name=user.name,
        verified_at=tx.now,
        tenant_name=user.wanted_tenant_name,
    )


@users.handles(ResendVerification)
async def resend_verification(command: ResendVerification, tx: Transaction) -> Reply:
    """Answers alike whether or not there is somebody to write to."""
    answer = {"status": "accepted"}
    user = await store.user_by_email(tx, normalize_email(command.email))
    if user is None or not await _may_mail(tx, user):
        return Reply(answer)
    last = await store.last_link(tx, user.user_id)
    pending = None if last is None else last.pending
    name = user.name if pending is None else pending.name
    mail = await _verification_mail(tx, command.site_tenant_id, user.user_id, user.email, name, pending)
    return Reply(answer, mail)


async def _may_mail(tx: Transaction, user: store.User) -> bool:
    """Whether an account waits for its verification and may be written to now."""
    if user.email_verified_at is not None or user.status != "active":
        return False
    last = await store.last_link(tx, user.user_id)
    return rules.may_mail_again(None if last is None else last.made_at, tx.now)


async def _verification_mail(
    tx: Transaction,
    site_tenant_id: str | None,
    user_id: str,
    email: str,
    name: str,
    pending: store.PendingSignUp | None = None,
) -> SendMail:
    """A mail with a new link; only a keyed digest of the token in it is kept."""
    token = credentials.verification_token(secrets.new_token())
    mail_id = new_id("mail")
    await store.insert_link_token(
        tx,
        tx.sealer.digest(token, _DIGEST),
        user_id=user_id,
        email=email,
        mail_id=mail_id,
        expires_at=tx.now + rules.VERIFICATION_LIFETIME,
        pending=pending,
    )
    return SendMail(
        mail_id=mail_id,
        template="verify_email",
        to=email,
        to_name=name,
        data={"name": name},
        sealed_data={"token": tx.sealer.seal(token, secrets.MAIL)},
        site_tenant_id=site_tenant_id,
    )
