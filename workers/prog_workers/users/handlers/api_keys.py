"""Keys of a tenant's programs: made, rolled, revoked, and when each was last used.

These commands run under the tenant, so that row-level security binds every statement to it. The edge has asked whether
the person's role allows them, and takes from a key, each time it is used, what its maker's role does not allow then:
a key never does more than the person who made it. Keys live by the wall clock, wherever the tenant's clock stands;
`now` below is when the edge was asked.
"""

from __future__ import annotations

from typing import Literal

from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process, person_of
from prog_contracts.api_keys import (
    ApiKeyCreated,
    ApiKeyRevoked,
    ApiKeyRolled,
    CreateApiKey,
    NoteApiKeyUses,
    RevokeApiKey,
    RollApiKey,
)
from prog_contracts.quotas import reached, refusal
from prog_contracts.tenants import NoteUsage
from prog_workers.users import errors, rules, store
from prog_workers.users.handlers.domain import acting_person, users


@users.handles(CreateApiKey)
async def create_api_key(command: CreateApiKey, tx: Transaction) -> ApiKeyCreated:
    _check_tenant(command.tenant_id, tx)
    now = tx.envelope.time
    maker = await acting_person(tx)
    wanted = rules.checked_api_key(command.name, command.scopes, command.expires_at, now)
    await _require_room(tx, command.limit)
    return await _kept(
        tx,
        store.NewApiKey(
            key_id=command.key_id,
            name=wanted.name,
            digest=command.key_digest,
            hint=command.hint,
            scopes=wanted.scopes,
            created_by=maker,
            created_at=now,
            expires_at=command.expires_at,
        ),
    )


@users.handles(RollApiKey)
async def roll_api_key(command: RollApiKey, tx: Transaction) -> tuple[ApiKeyCreated, ApiKeyRolled]:
    """Makes the successor. It belongs to whoever rolls, who gets to see it, and works within that person's rights."""
    _check_tenant(command.tenant_id, tx)
    now = tx.envelope.time
    maker = await acting_person(tx)
    old = await store.api_key(tx, command.key_id)
    if old is None:
        raise errors.api_key_not_found()
    refusal = rules.roll_refusal(old, now)
    if refusal is not None:
        raise refusal
    expires_at = command.expires_at or rules.successors_expiry(old, now)
    rules.check_expiry(expires_at, now)
    ends_at = rules.expiry_after_roll(old, command.grace_seconds, now)
    await _require_room(tx, command.limit)
    created = await _kept(
        tx,
        store.NewApiKey(
            key_id=command.successor_id,
            name=old.name,
            digest=command.key_digest,
            hint=command.hint,
            scopes=old.scopes,
            created_by=maker,
            created_at=now,
            expires_at=expires_at,
            replaces=old.key_id,
        ),
    )
    await store.replace_api_key(tx, old.key_id, by=command.successor_id, expires_at=ends_at)
    return created, ApiKeyRolled(
        key_id=old.key_id,
        tenant_id=tx.tenant_id,
        name=old.name,
        successor_id=command.successor_id,
        rolled_by=maker,
        expires_at=ends_at,
    )


@users.handles(RevokeApiKey)
async def revoke_api_key(command: RevokeApiKey, tx: Transaction) -> Outcome:
    """Ends a key for good. One that was revoked before stays so, and whoever asks again is told the same."""
    _check_tenant(command.tenant_id, tx)
    if not is_process(tx.actor):
        await acting_person(tx)
    key = await store.api_key(tx, command.key_id)
    if key is None:
        raise errors.api_key_not_found()
    revoked = ApiKeyRevoked(
        key_id=key.key_id,
        tenant_id=tx.tenant_id,
        name=key.name,
        revoked_at=key.revoked_at or tx.envelope.time,
        reason="revoked",
        revoked_by=person_of(tx.actor) if key.revoked_at is None else key.revoked_by,
    )
    if key.revoked_at is not None:
        return Reply(revoked)
    await store.revoke_api_key(tx, key.key_id, at=revoked.revoked_at, by=revoked.revoked_by)
    return revoked


@users.handles(NoteApiKeyUses)
async def note_api_key_uses(command: NoteApiKeyUses, tx: Transaction) -> None:
    """Several edges tell of one key: what is no minute later than what is known is left out."""
    _check_tenant(command.tenant_id, tx)
    if not is_process(tx.actor):
        raise errors.not_permitted()
    await store.note_api_key_uses(tx, command.uses, apart=rules.API_KEY_USE_INTERVAL)


async def end_api_keys(
    tx: Transaction, reason: Literal["maker_left", "tenant_deleted"], maker: str | None = None
) -> list[ApiKeyRevoked]:
    """Ends a tenant's keys, or those of one who is no member any more: coming back revives none."""
    ended_at = tx.envelope.time
    return [
        ApiKeyRevoked(key_id=key.key_id, tenant_id=tx.tenant_id, name=key.name, revoked_at=ended_at, reason=reason)
        for key in await store.revoke_api_keys(tx, at=ended_at, maker=maker)
    ]


async def _kept(tx: Transaction, key: store.NewApiKey) -> ApiKeyCreated:
    if not await store.insert_api_key(tx, key):
        raise errors.api_key_exists()
    return ApiKeyCreated(
        key_id=key.key_id,
        tenant_id=tx.tenant_id,
        name=key.name,
        hint=key.hint,
        scopes=key.scopes,
        created_by=key.created_by,
        created_at=key.created_at,
        expires_at=key.expires_at,
        replaces=key.replaces,
    )


async def _require_room(tx: Transaction, allowed: int | None) -> None:
    """Raises Conflict when the plan allows no further key. The tenants domain tells the owners of what it nears."""
    await tx.alone("api_keys")
    limit = rules.API_KEYS_MAX if allowed is None else min(allowed, rules.API_KEYS_MAX)
    used = await store.count_api_keys(tx, tx.envelope.time)
    refused = refusal("api_keys", limit, used)
    if refused is not None:
        raise refused
    if reached(limit, used + 1) is not None:
        tx.send(NoteUsage(tenant_id=tx.tenant_id, quota="api_keys", used=used + 1, limit=limit))


def _check_tenant(tenant_id: str, tx: Transaction) -> None:
    """A command about another tenant than the one that it runs under finds nothing there."""
    if tenant_id != tx.tenant_id:
        raise errors.api_key_not_found()
