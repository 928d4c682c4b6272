"""Sign in, refresh, sign out.

A refresh token's successor is derived from it under the platform's secret key. So two tabs that refresh at once get the
same successor, and still nothing but keyed digests is stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts import credentials
from prog_contracts.accounts import SecondFactorNeeded, TokenSet
from prog_contracts.actors import is_process
from prog_contracts.errors import Invalid
from prog_contracts.identities import SignInAndLink, SignInWithIdentity, StepUpWithIdentity
from prog_contracts.ids import new_id
from prog_contracts.inputs import EMAIL_MAX_LENGTH, normalize_email
from prog_contracts.messages import Event
from prog_contracts.passkeys import SignInByPasskey
from prog_contracts.second_factors import CompleteSignIn, SecondFactorAsked, StepUp
from prog_contracts.users import (
    Authenticate,
    AuthenticationFailed,
    ConsumeMagicLink,
    EndSession,
    RefreshSession,
    SecondFactor,
    SessionEnded,
    SignInMethod,
    UserAuthenticated,
)
from prog_kit import secrets
from prog_workers.users import errors, passwords, rules, store
from prog_workers.users.handlers.domain import close_session, open_sealed, users
from prog_workers.users.signing import AccessTokens

USER_AGENT_MAX_LENGTH: Final = 400
PENDING_DIGEST: Final = "pending_sign_in"

access_tokens = AccessTokens()

SignIn = Authenticate | ConsumeMagicLink | SignInWithIdentity | SignInAndLink
"""What may open a session by itself."""

Enter = Callable[[Transaction, store.User, store.WaysIn], Awaitable[Reply]]

_END_REASONS: Final[dict[rules.RefreshDecision, Literal["revoked", "refresh_reused", "expired"]]] = {
    "expired": "expired",
    "reused": "refresh_reused",
    "revoked": "revoked",
}


@users.performs(Authenticate)
async def authenticate(command: Authenticate, work: Work) -> Finish:
    """Checks a password and lets its person in. A failure is recorded too, and takes as long whomever it is about."""

    async def enter(tx: Transaction, user: store.User, found: store.WaysIn) -> Reply:
        return await let_in(tx, user, "password", command, second_factor=found.second_factor)

    return await by_password(command, work, enter)


async def by_password(command: Authenticate | SignInAndLink, work: Work, enter: Enter) -> Finish:
    """Checks the password of a command: `enter` says what becomes of whoever gave the right one."""
    email = _lookup_form(command.email)
    password = open_sealed(work, command.sealed_password, secrets.PASSWORD, "password")
    async with work.look() as connection:
        stored_hash = await store.password_hash(connection, email)
    possible = rules.may_try(password)
    verdict = await passwords.verify(stored_hash if possible else None, password if possible else "-")

    async def record(tx: Transaction) -> Outcome:
        # Looked up again: the password or the account may have changed while the hash was computed.
        user = await store.user_by_email(tx, email)
        found = await store.ways_in(tx, email, user)
        failure = rules.sign_in_failure(
            known=user is not None,
            right=verdict.right and found.password_hash == stored_hash,
            status="active" if user is None else user.status,
            verified=user is not None and user.email_verified_at is not None,
        )
        if failure is None and isinstance(command, Authenticate) and found.must_sign_on:
            failure = "sign_on_only"
        if user is None or failure is not None:
            failed = AuthenticationFailed(
                email_digest=tx.sealer.digest(email, "email"),
                reason=failure or "unknown_user",
                client_address=command.client_address,
            )
            refusal = errors.email_unverified() if failure == "unverified" else errors.wrong_credentials()
            return Reply(None, failed, error=refusal)
        if verdict.fresh_hash is not None:
            await store.replace_password_hash(tx, user.user_id, verdict.fresh_hash, changed=False)
        return await enter(tx, user, found)

    return record


@users.handles(RefreshSession)
async def refresh_session(command: RefreshSession, tx: Transaction) -> Reply:
    """Exchanges a refresh token. One that was replaced before ends the session, except within a moment of that."""
    token = open_sealed(tx, command.sealed_refresh_token, secrets.TOKEN, "refresh_token")
    found = await _presented(tx, command.session_id, token)
    if found is None:
        raise errors.refresh_refused()
    presented, user = found.token, found.user
    decision = rules.refresh_decision(presented, tx.now)
    if decision == "rotate":
        successor = _successors(tx, command.session_id, token)[0]
        times = rules.session_times(tx.now, presented.expires_at)
        await store.rotate(
            tx,
            command.session_id,
            used=_digests(tx, token),
            successor=_digests(tx, successor)[0],
            idle_until=times.idle_until,
        )
        return await _token_reply(tx, user, command.session_id, successor, found.proven)
    if decision == "repeat":
        for _ in range(presented.current_generation - presented.generation):
            token = await _stored_successor(tx, command.session_id, token)
        return await _token_reply(tx, user, command.session_id, token, found.proven)
    if decision == "ended":
        raise errors.refresh_refused()
    reason = _END_REASONS[decision]
    await close_session(tx, command.session_id, reason)
    ended = SessionEnded(user_id=user.user_id, session_id=command.session_id, reason=reason)
    return Reply(None, ended, error=errors.refresh_refused())


@users.handles(EndSession)
async def end_session(command: EndSession, tx: Transaction) -> Outcome:
    """Ends a session for its own user, for an operator, or for whoever holds its refresh token."""
    owner = await store.session_owner(tx, command.session_id)
    if owner is None or not await _may_end(tx, command, owner):
        raise errors.session_not_found()
    ended = SessionEnded(user_id=owner, session_id=command.session_id, reason=command.reason)
    successor = command.successor_session_id
    if successor is not None and await store.live_session(tx, successor, owner) is None:
        successor = None
    if await close_session(tx, command.session_id, command.reason, successor=successor):
        return ended
    return Reply(ended)


async def let_in(
    tx: Transaction,
    user: store.User,
    method: SignInMethod,
    command: SignIn,
    *events: Event,
    signed_on: str | None = None,
    second_factor: bool | None = None,
) -> Reply:
    """What the first factor comes to: a session, or a token that waits for the second factor where there is one.

    `events` tell of what happened on the way, and come first. `signed_on` is the tenant whose provider has vouched.
    `second_factor` says whether the person has one, where that is known since the account was locked.
    """
    if second_factor is None:
        second_factor = await store.has_second_factor(tx, user.user_id)
    if not second_factor:
        return await open_session(tx, user, method, command, before=events, signed_on=signed_on)
    token = credentials.pending_sign_in_token(user.user_id, secrets.new_token())
    await store.insert_pending_sign_in(
        tx,
        tx.sealer.digest(token, PENDING_DIGEST),
        user_id=user.user_id,
        method=method,
        sign_on_tenant_id=signed_on,
        expires_at=tx.now + rules.PENDING_SIGN_IN_LIFETIME,
    )
    needed = SecondFactorNeeded(
        mfa_token=token,
        methods=await _factors(tx, user.user_id),
        expires_in=int(rules.PENDING_SIGN_IN_LIFETIME.total_seconds()),
    )
    asked = SecondFactorAsked(user_id=user.user_id, method=method, client_address=command.client_address)
    return Reply(needed, *events, asked, sealed=True)


async def _factors(tx: Transaction, user_id: str) -> tuple[SecondFactor, ...]:
    """What a person can complete a sign-in with, what is safest first."""
    there: dict[SecondFactor, bool] = {
        "passkey": await store.count_passkeys(tx, user_id) > 0,
        "totp": await store.totp_factor(tx, user_id) is not None,
        "recovery_code": await store.codes_left(tx, user_id) > 0,
    }
    return tuple(factor for factor, is_there in there.items() if is_there)


async def open_session(
    tx: Transaction,
    user: store.User,
    method: SignInMethod,
    command: SignIn | CompleteSignIn | StepUp | StepUpWithIdentity | SignInByPasskey,
    *events: Event,
    second_factor: SecondFactor | None = None,
    before: Sequence[Event] = (),
    signed_on: str | None = None,
    replacing: str | None = None,
) -> Reply:
    """The one way to a session: its credentials, for whoever has shown all that the account asks for.

    `events` tell of what was spent for it, `before` of what came first. A session of the same person that it is
    `replacing` ends.
    """
    session_id = new_id("session")
    token = credentials.refresh_token(session_id, secrets.new_token())
    proven = rules.Authentication(tx.now, method, second_factor, signed_on)
    await store.insert_session(
        tx,
        store.NewSession(
            session_id=session_id,
            user_id=user.user_id,
            proven=proven,
            refresh_digest=_digests(tx, token)[0],
            times=rules.session_times(tx.now),
            client_address=command.client_address,
            user_agent=command.user_agent and command.user_agent[:USER_AGENT_MAX_LENGTH],
        ),
    )
    if replacing is not None:
        await close_session(tx, replacing, "signed_out", successor=session_id)
    authenticated = UserAuthenticated(
        user_id=user.user_id,
        session_id=session_id,
        method=method,
        client_address=command.client_address,
        second_factor=second_factor,
    )
    return await _token_reply(tx, user, session_id, token, proven, *before, authenticated, *events)


async def _token_reply(
    tx: Transaction,
    user: store.User,
    session_id: str,
    refresh_token: str,
    proven: rules.Authentication,
    *events: Event,
) -> Reply:
    claims = rules.access_claims(
        issuer=access_tokens.issuer,
        user_id=user.user_id,
        session_id=session_id,
        token_id=secrets.new_token(16),
        platform_role=user.platform_role,
        proven=proven,
        now=tx.now,
    )
    tokens = TokenSet(
        access_token=await access_tokens.sign(tx.connection, tx.sealer, claims),
        refresh_token=refresh_token,
        expires_in=int(rules.ACCESS_LIFETIME.total_seconds()),
        session_id=session_id,
        user_id=user.user_id,
        platform_role=user.platform_role,
    )
    return Reply(tokens, *events, sealed=True)


async def _may_end(tx: Transaction, command: EndSession, owner: str) -> bool:
    if tx.actor == owner or is_process(tx.actor):
        return True
    if command.sealed_refresh_token is not None:
        token = open_sealed(tx, command.sealed_refresh_token, secrets.TOKEN, "refresh_token")
        if await _presented(tx, command.session_id, token) is not None:
            return True
    return tx.actor is not None and await store.platform_role(tx, tx.actor) == "operator"


async def _presented(tx: Transaction, session_id: str, token: str) -> store.Presented | None:
    if credentials.session_of_refresh_token(token) != session_id:
        return None
    return await store.presented_token(tx, session_id, _digests(tx, token))


def _digests(tx: Transaction, token: str) -> list[str]:
    return tx.sealer.digests(token, "refresh")


def _successors(tx: Transaction, session_id: str, token: str) -> list[str]:
    """What may follow a refresh token: the one derived under the newest secret key, then those under older keys."""
    return [credentials.refresh_token(session_id, secret) for secret in tx.sealer.digests(token, "refresh_successor")]


async def _stored_successor(tx: Transaction, session_id: str, token: str) -> str:
    """What followed a refresh token that was replaced, under whichever secret key was the newest then."""
    for successor in _successors(tx, session_id, token):
        if await store.holds_refresh_token(tx, session_id, _digests(tx, successor)):
            return successor
    raise errors.refresh_refused()


def _lookup_form(email: str) -> str:
    """The form in which an account would have this address; what is no address finds none and is treated alike."""
    try:
        return normalize_email(email)
    except Invalid:
        return email.strip().lower()[: EMAIL_MAX_LENGTH + 1]
