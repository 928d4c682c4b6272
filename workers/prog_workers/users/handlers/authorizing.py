"""People sign in to OAuth clients: they agree, the client exchanges its code, and refreshes while it may.

These commands run under the tenant whose client it is, and about a person, who is global. Whoever changes anything here
locks the person first, then the client, then code or authorization, so that no two wait for each other. All of it lives
by the wall clock; `now` below is when the edge was asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts import credentials
from prog_contracts.email import SendMail
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_contracts.messages import Event
from prog_contracts.oauth import (
    AuthorizationCode,
    AuthorizationEnd,
    AuthorizationEnded,
    AuthorizeClient,
    ClientAuthorized,
    ClientTokenRevoked,
    CodeExchangeRefused,
    ConsentDenied,
    ConsentGiven,
    ConsentRevoked,
    DeclineClient,
    ExchangeCode,
    Grant,
    IssuedTokens,
    RefreshAuthorization,
    RevokeConsent,
    RevokeToken,
    TokensIssued,
)
from prog_contracts.redirects import is_registered
from prog_kit import secrets
from prog_workers.users import errors
from prog_workers.users import rules as sign_in
from prog_workers.users.handlers.clients import digest_of
from prog_workers.users.handlers.domain import open_sealed, users
from prog_workers.users.rules import clients as rules
from prog_workers.users.signing import IdTokens
from prog_workers.users.store import authorizations, clients, logouts
from prog_workers.users.store.authorizations import Authorization
from prog_workers.users.store.clients import Client

REFRESH_DIGEST = "client_refresh"

id_tokens = IdTokens()

_END_REASONS: dict[sign_in.RefreshDecision, AuthorizationEnd] = {
    "expired": "expired",
    "reused": "refresh_reused",
    "revoked": "revoked",
}


@users.handles(AuthorizeClient)
async def authorize_client(command: AuthorizeClient, tx: Transaction) -> Reply:
    """Makes a code for a person who is signed in and has agreed, now or before."""
    if tx.actor != command.user_id:
        raise errors.not_permitted()
    now = tx.envelope.time
    person = await authorizations.profile(tx, command.user_id)
    client = await clients.client(tx, command.client_id)
    if client is None:
        raise errors.client_not_found()
    _require_registered(command, client)
    if person is None or await authorizations.session_proof(tx, command.by_session_id, person.user_id, now) is None:
        raise errors.session_not_found()
    given = await authorizations.consented(tx, person.user_id, client.client_id)
    more = rules.missing_consent(command.scopes, given)
    if more and not command.consents:
        raise errors.consent_needed()
    code = credentials.authorization_code(secrets.new_token())
    kept = rules.Code(
        digest=digest_of(code),
        user_id=person.user_id,
        client_id=client.client_id,
        session_id=command.by_session_id,
        redirect_uri=command.redirect_uri,
        scopes=command.scopes,
        code_challenge=command.code_challenge,
        nonce=command.nonce,
        expires_at=now + rules.CODE_LIFETIME,
        spent_at=None,
        authorization_id=None,
    )
    await authorizations.insert_code(tx, kept, now)
    events: list[Event] = [
        ClientAuthorized(
            client_id=client.client_id,
            user_id=person.user_id,
            session_id=command.by_session_id,
            scopes=command.scopes,
            consented=command.consents,
        )
    ]
    if more:
        events.append(await _consent(tx, person, client, (*given, *command.scopes), now))
    return Reply(AuthorizationCode(code=code), *events, sealed=True)


def _require_registered(command: AuthorizeClient, client: Client) -> None:
    """Raises what is wrong with a request that the client is not registered for."""
    if not is_registered(command.redirect_uri, client.redirect_uris, confidential=client.confidential):
        raise errors.redirect_uri_unknown()
    if "authorization_code" not in client.grants:
        raise errors.grant_not_allowed()
    if "openid" not in command.scopes or not set(command.scopes) <= set(client.scopes):
        raise errors.scope_refused()
    if rules.CHALLENGE.fullmatch(command.code_challenge) is None:
        raise errors.invalid_grant()


async def _consent(
    tx: Transaction, person: rules.Profile, client: Client, wanted: Sequence[str], now: datetime
) -> Event:
    """Keeps what a person lets a client know from now on, and tells them by mail."""
    scopes = tuple(scope for scope in rules.PERSON_SCOPES if scope in wanted)
    await authorizations.keep_consent(tx, person.user_id, client.client_id, client.name, scopes, now)
    # Under the platform, whose account it is: the client's tenant does not learn the address by this.
    mail = SendMail(
        mail_id=new_id("mail"),
        template="app_connected",
        to=person.email,
        to_name=person.name,
        data={"name": person.name, "app_name": client.name, "connected_at": now.isoformat()},
    )
    tx.send(mail, tenant_id=PLATFORM_TENANT_ID)
    return ConsentGiven(client_id=client.client_id, user_id=person.user_id, scopes=scopes, given_at=now)


@users.handles(DeclineClient)
async def decline_client(command: DeclineClient, tx: Transaction) -> ConsentDenied:
    """Writes down that a person was asked, and has not agreed."""
    if tx.actor != command.user_id:
        raise errors.not_permitted()
    if await clients.client(tx, command.client_id) is None:
        raise errors.client_not_found()
    return ConsentDenied(client_id=command.client_id, user_id=command.user_id, scopes=command.scopes)


@users.handles(ExchangeCode)
async def exchange_code(command: ExchangeCode, tx: Transaction) -> Reply:
    """Spends a code for its client. Whatever is wrong has one answer, and the record says what it was.

    A second use means that two parties hold the code: it ends what the first one gave (RFC 6749, 4.1.2). One that comes
    without its proof is spent by that.
    """
    now = tx.envelope.time
    code_text = open_sealed(tx, command.sealed_code, secrets.TOKEN, "code")
    verifier = open_sealed(tx, command.sealed_verifier, secrets.TOKEN, "code_verifier")
    digest = digest_of(code_text)
    user_id = await authorizations.user_of_code(tx, digest) if credentials.is_authorization_code(code_text) else None
    if user_id is None:
        return _refused(command, "unknown")
    person = await authorizations.profile(tx, user_id)
    client = await clients.client(tx, command.client_id)
    code = await authorizations.code(tx, digest)
    if code is None:
        return _refused(command, "unknown")
    refusal = rules.code_refusal(
        code, client_id=command.client_id, redirect_uri=command.redirect_uri, verifier=verifier, now=now
    )
    if refusal == "reused" and code.authorization_id is not None:
        ended = await _end(tx, code.authorization_id, code.client_id, code.user_id, "code_reused")
        return _refused(command, refusal, *ended, user_id=code.user_id)
    if refusal in ("wrong_redirect_uri", "wrong_verifier"):
        await authorizations.spend_code(tx, digest, None, now)
    if refusal is not None:
        return _refused(command, refusal, user_id=code.user_id)
    proof = await authorizations.session_proof(tx, code.session_id, code.user_id, now)
    if person is None or client is None or proof is None or "authorization_code" not in client.grants:
        return _refused(command, "over", user_id=code.user_id)
    made = Authorization(
        authorization_id=new_id("authorization"),
        user_id=code.user_id,
        client_id=code.client_id,
        session_id=code.session_id,
        scopes=code.scopes,
        authenticated_at=proof.at,
        amr=tuple(sign_in.amr(proof.method, proof.second_factor)),
    )
    refresh = None
    if "offline_access" in code.scopes:
        refresh = credentials.client_refresh_token(code.user_id, secrets.new_token())
    await authorizations.insert_authorization(
        tx, made, rules.authorization_times(now), now, None if refresh is None else _digests(tx, refresh)[0]
    )
    await authorizations.spend_code(tx, digest, made.authorization_id, now)
    await logouts.note_sign_in(tx, made)
    return await _issued(tx, person, made, made.scopes, refresh, "authorization_code", now, nonce=code.nonce)


@users.handles(RefreshAuthorization)
async def refresh_authorization(command: RefreshAuthorization, tx: Transaction) -> Reply:
    """As `refresh_session`, for a client. Any use of a replaced token, but within a moment, ends the authorization."""
    now = tx.envelope.time
    token = open_sealed(tx, command.sealed_refresh_token, secrets.TOKEN, "refresh_token")
    person = await authorizations.profile(tx, command.user_id)
    client = await clients.client(tx, command.client_id)
    if credentials.user_of_client_refresh_token(token) != command.user_id:
        raise errors.invalid_grant()
    found = await authorizations.presented(tx, command.user_id, _digests(tx, token))
    if found is None or found.authorization.client_id != command.client_id:
        raise errors.invalid_grant()
    made = found.authorization
    if person is None or client is None or "refresh_token" not in client.grants:
        raise errors.invalid_grant()
    scopes = made.scopes if command.scopes is None else command.scopes
    if not scopes or not set(scopes) <= set(made.scopes):
        raise errors.scope_refused()
    decision = sign_in.refresh_decision(found.token, now)
    if decision == "rotate":
        successor = _successors(tx, command.user_id, token)[0]
        times = rules.authorization_times(now, found.token.expires_at)
        await authorizations.rotate(
            tx,
            made,
            used=_digests(tx, token),
            successor=_digests(tx, successor)[0],
            idle_until=times.idle_until,
            at=now,
        )
        return await _issued(tx, person, made, scopes, successor, "refresh_token", now)
    if decision == "repeat":
        for _ in range(found.token.current_generation - found.token.generation):
            token = await _stored_successor(tx, made, token)
        return await _issued(tx, person, made, scopes, token, "refresh_token", now)
    if decision == "ended":
        raise errors.invalid_grant()
    ended = await _end(tx, made.authorization_id, made.client_id, made.user_id, _END_REASONS[decision])
    return Reply(None, *ended, error=errors.invalid_grant())


@users.handles(RevokeToken)
async def revoke_token(command: RevokeToken, tx: Transaction) -> Outcome:
    """Ends a token of this client (RFC 7009). What is none, or another client's, changes nothing."""
    token = open_sealed(tx, command.sealed_token, secrets.TOKEN, "token")
    digest = digest_of(token)
    if credentials.tenant_of_client_token(token) == tx.tenant_id:
        dropped = await clients.drop_client_token(tx, digest, command.client_id)
        return ClientTokenRevoked(client_id=command.client_id) if dropped else None
    holder = credentials.user_of_access_token(token)
    if holder is not None:
        found = await authorizations.authorization_of_access_token(tx, digest, holder)
        if found is None or found[1] != command.client_id:
            return None
        await authorizations.drop_access_token(tx, digest)
        return ClientTokenRevoked(client_id=command.client_id, user_id=holder)
    holder = credentials.user_of_client_refresh_token(token)
    if holder is None:
        return None
    await authorizations.profile(tx, holder)
    presented = await authorizations.presented(tx, holder, _digests(tx, token))
    if presented is None or presented.authorization.client_id != command.client_id:
        return None
    return await _end(tx, presented.authorization.authorization_id, command.client_id, holder, "revoked")


@users.handles(RevokeConsent)
async def revoke_consent(command: RevokeConsent, tx: Transaction) -> ConsentRevoked:
    """A person takes back what they let a client know. What it holds is worth nothing from now on, and it is told."""
    if tx.actor != command.user_id:
        raise errors.not_permitted()
    await authorizations.profile(tx, command.user_id)
    if not await authorizations.drop_consent(tx, command.user_id, command.client_id):
        raise errors.consent_not_found()
    ended = await authorizations.end_authorizations(
        tx, "consent_revoked", tx.envelope.time, user_id=command.user_id, client_id=command.client_id
    )
    await logouts.end_sign_ins_at_client(tx, command.user_id, command.client_id)
    return ConsentRevoked(client_id=command.client_id, user_id=command.user_id, authorizations_ended=ended)


async def _issued(
    tx: Transaction,
    person: rules.Profile,
    made: Authorization,
    scopes: Sequence[str],
    refresh_token: str | None,
    grant: Grant,
    now: datetime,
    *,
    nonce: str | None = None,
) -> Reply:
    token = credentials.person_access_token(made.user_id, secrets.new_token())
    ends_at = now + rules.PERSON_ACCESS_LIFETIME
    await authorizations.insert_access_token(tx, digest_of(token), made, scopes, at=now, expires_at=ends_at)
    claims = rules.id_claims(
        person,
        issuer=id_tokens.issuer,
        audience=credentials.public_client_id(tx.tenant_id, made.client_id),
        session_id=made.session_id,
        scopes=scopes,
        authenticated_at=made.authenticated_at,
        amr=made.amr,
        access_token=token,
        nonce=nonce,
        now=now,
    )
    tokens = IssuedTokens(
        access_token=token,
        expires_in=int(rules.PERSON_ACCESS_LIFETIME.total_seconds()),
        scopes=tuple(scopes),
        refresh_token=refresh_token,
        id_token=await id_tokens.sign(tx.connection, tx.sealer, claims) if "openid" in scopes else None,
    )
    told = TokensIssued(
        client_id=made.client_id,
        grant=grant,
        scopes=tuple(scopes),
        user_id=made.user_id,
        authorization_id=made.authorization_id,
    )
    return Reply(tokens, told, sealed=True)


async def _end(
    tx: Transaction, authorization_id: str, client_id: str, user_id: str, reason: AuthorizationEnd
) -> list[AuthorizationEnded]:
    if not await authorizations.end_authorization(tx, authorization_id, reason, tx.envelope.time):
        return []
    ended = AuthorizationEnded(client_id=client_id, user_id=user_id, authorization_id=authorization_id, reason=reason)
    return [ended]


def _refused(command: ExchangeCode, reason: rules.CodeRefusal, *events: Event, user_id: str | None = None) -> Reply:
    told = CodeExchangeRefused(client_id=command.client_id, reason=reason, user_id=user_id)
    return Reply(None, told, *events, error=errors.invalid_grant())


def _digests(tx: Transaction, token: str) -> list[str]:
    return tx.sealer.digests(token, REFRESH_DIGEST)


def _successors(tx: Transaction, user_id: str, token: str) -> list[str]:
    """What may follow a refresh token: the one derived under the newest secret key, then those under older keys."""
    derived = tx.sealer.digests(token, "client_refresh_successor")
    return [credentials.client_refresh_token(user_id, secret) for secret in derived]


async def _stored_successor(tx: Transaction, made: Authorization, token: str) -> str:
    """What followed a refresh token that was replaced, under whichever secret key was the newest then."""
    for successor in _successors(tx, made.user_id, token):
        if await authorizations.holds_refresh_token(tx, made.authorization_id, _digests(tx, successor)):
            return successor
    raise errors.invalid_grant()
