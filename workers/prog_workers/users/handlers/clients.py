"""OAuth clients of a tenant: registered, changed, given another secret, removed; and the tokens that are their own.

These commands run under the tenant, so that row-level security binds every statement to it. As with API keys the edge
has asked whether the person's role allows them, and takes from a client, each time it calls the API, what the role of
whoever holds its secret does not allow then. They live by the wall clock; `now` below is when the edge was asked.
"""

from __future__ import annotations

import hashlib

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts import credentials
from prog_contracts.actors import key_of, person_of
from prog_contracts.oauth import (
    ClientRegistered,
    ClientRemoved,
    ClientSecretRolled,
    ClientUpdated,
    IssueClientToken,
    IssuedTokens,
    RegisterClient,
    RemoveClient,
    RollClientSecret,
    TokensIssued,
    UpdateClient,
)
from prog_contracts.permissions import SCOPES
from prog_kit import secrets
from prog_workers.users import errors
from prog_workers.users.handlers.domain import acting_person, users
from prog_workers.users.rules import clients as rules
from prog_workers.users.store import authorizations, clients, logouts


@users.handles(RegisterClient)
async def register_client(command: RegisterClient, tx: Transaction) -> ClientRegistered:
    _check_tenant(command.tenant_id, tx)
    maker = await acting_person(tx)
    confidential = command.secret_digest is not None
    wanted = rules.checked_client(
        command.name,
        command.redirect_uris,
        command.post_logout_redirect_uris,
        command.backchannel_logout_uri,
        command.grants,
        command.scopes,
        confidential=confidential,
    )
    await tx.alone("oauth_clients")
    if await clients.count_clients(tx) >= rules.CLIENTS_MAX:
        raise errors.too_many_clients(rules.CLIENTS_MAX)
    kept = await clients.insert_client(
        tx,
        command.client_id,
        wanted,
        secret_digest=command.secret_digest,
        secret_hint=command.secret_hint,
        created_by=maker,
        created_at=tx.envelope.time,
    )
    if not kept:
        raise errors.client_exists()
    return ClientRegistered(
        client_id=command.client_id,
        tenant_id=tx.tenant_id,
        name=wanted.name,
        confidential=confidential,
        secret_hint=command.secret_hint,
        redirect_uris=wanted.redirect_uris,
        post_logout_redirect_uris=wanted.post_logout_redirect_uris,
        backchannel_logout_uri=wanted.backchannel_logout_uri,
        grants=wanted.grants,
        scopes=wanted.scopes,
        created_by=maker,
        created_at=tx.envelope.time,
    )


@users.handles(UpdateClient)
async def update_client(command: UpdateClient, tx: Transaction) -> Outcome:
    """Scopes of the API work within the rights of whoever holds the secret, whoever adds them."""
    _check_tenant(command.tenant_id, tx)
    await acting_person(tx)
    before = await _client(tx, command.client_id)
    wanted = rules.checked_client(
        before.name if command.name is None else command.name,
        before.redirect_uris if command.redirect_uris is None else command.redirect_uris,
        before.post_logout_redirect_uris
        if command.post_logout_redirect_uris is None
        else command.post_logout_redirect_uris,
        before.backchannel_logout_uri if command.backchannel_logout_uri is None else command.backchannel_logout_uri,
        before.grants if command.grants is None else command.grants,
        before.scopes if command.scopes is None else command.scopes,
        confidential=before.confidential,
    )
    fields = ("name", "redirect_uris", "post_logout_redirect_uris", "backchannel_logout_uri", "grants", "scopes")
    updated = ClientUpdated(
        client_id=before.client_id,
        tenant_id=tx.tenant_id,
        name=wanted.name,
        redirect_uris=wanted.redirect_uris,
        post_logout_redirect_uris=wanted.post_logout_redirect_uris,
        backchannel_logout_uri=wanted.backchannel_logout_uri,
        grants=wanted.grants,
        scopes=wanted.scopes,
        changed=tuple(field for field in fields if getattr(before, field) != getattr(wanted, field)),
    )
    if not updated.changed:
        return Reply(updated)
    await clients.change_client(tx, before.client_id, wanted, tx.envelope.time)
    return updated


@users.handles(RollClientSecret)
async def roll_client_secret(command: RollClientSecret, tx: Transaction) -> ClientSecretRolled:
    """The client calls the API within the rights of whoever rolls, for that person sees the secret.

    With the secret before, while that is good, it does so within those of whoever has seen that one.
    """
    _check_tenant(command.tenant_id, tx)
    holder = await acting_person(tx)
    client = await _client(tx, command.client_id)
    if not client.confidential:
        raise errors.client_is_public()
    until = rules.secrets_end(tx.envelope.time, command.grace_seconds)
    replaced = await clients.replace_secret(
        tx,
        client.client_id,
        digest=command.secret_digest,
        hint=command.secret_hint,
        held_by=holder,
        previous_until=until,
        at=tx.envelope.time,
    )
    if not replaced:
        raise errors.client_exists()
    return ClientSecretRolled(
        client_id=client.client_id,
        tenant_id=tx.tenant_id,
        name=client.name,
        secret_hint=command.secret_hint,
        rolled_by=holder,
        previous_ends_at=until,
    )


@users.handles(RemoveClient)
async def remove_client(command: RemoveClient, tx: Transaction) -> ClientRemoved:
    """Its tokens end, people's and its own, and what people let it know is forgotten."""
    _check_tenant(command.tenant_id, tx)
    person = await acting_person(tx)
    client = await _client(tx, command.client_id)
    return await _removed(tx, client.client_id, client.name, person)


@users.handles(IssueClientToken)
async def issue_client_token(command: IssueClientToken, tx: Transaction) -> Reply:
    """A token of the client's own for the API. The edge has seen the secret, and says whose it is."""
    now, holder = tx.envelope.time, person_of(tx.actor)
    client = await clients.client(tx, command.client_id)
    if client is None:
        raise errors.grant_not_allowed()
    if holder is None or key_of(tx.actor) != client.client_id:
        raise errors.not_permitted()
    if not client.is_held_by(holder, now):
        raise errors.grant_not_allowed()
    if "client_credentials" not in client.grants:
        raise errors.grant_not_allowed()
    scopes = tuple(scope for scope in SCOPES if scope in command.scopes)
    if not scopes or not set(command.scopes) <= set(client.scopes).intersection(SCOPES):
        raise errors.scope_refused()
    token = credentials.client_access_token(tx.tenant_id, secrets.new_token())
    ends_at = now + rules.CLIENT_ACCESS_LIFETIME
    await clients.insert_client_token(tx, digest_of(token), client, scopes, held_by=holder, at=now, expires_at=ends_at)
    issued = IssuedTokens(
        access_token=token, expires_in=int(rules.CLIENT_ACCESS_LIFETIME.total_seconds()), scopes=scopes
    )
    told = TokensIssued(client_id=client.client_id, grant="client_credentials", scopes=scopes)
    return Reply(issued, told, sealed=True)


async def end_clients(tx: Transaction) -> list[ClientRemoved]:
    """Removes all clients of a tenant that is deleted."""
    gone = []
    for client_id in await clients.live_clients(tx):
        client = await _client(tx, client_id)
        gone.append(await _removed(tx, client_id, client.name, None))
    return gone


def digest_of(token: str) -> str:
    """SHA-256, without a key and without stretching: 256 random bits need neither, and secret keys may rotate."""
    return hashlib.sha256(token.encode()).hexdigest()


async def _removed(tx: Transaction, client_id: str, name: str, person: str | None) -> ClientRemoved:
    now = tx.envelope.time
    await clients.remove_client(tx, client_id, now)
    await clients.drop_client_tokens(tx, client_id)
    ended = await authorizations.end_authorizations(tx, "client_removed", now, client_id=client_id)
    await authorizations.drop_consents_of_client(tx, client_id)
    await logouts.forget_sign_ins(tx, client_id)
    return ClientRemoved(
        client_id=client_id, tenant_id=tx.tenant_id, name=name, authorizations_ended=ended, removed_by=person
    )


async def _client(tx: Transaction, client_id: str) -> clients.Client:
    client = await clients.client(tx, client_id, to_change=True)
    if client is None:
        raise errors.client_not_found()
    return client


def _check_tenant(tenant_id: str, tx: Transaction) -> None:
    """A command about another tenant than the one that it runs under finds nothing there."""
    if tenant_id != tx.tenant_id:
        raise errors.client_not_found()
