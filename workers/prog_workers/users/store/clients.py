"""OAuth clients of tenants and their own tokens. Row-level security binds each statement to the command's tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from prog_broker.transaction import Transaction
from prog_contracts.oauth import Grant
from prog_workers.users.rules.clients import WantedClient


@dataclass(frozen=True, slots=True)
class Client:
    client_id: str
    name: str
    secret_digest: str | None
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    grants: tuple[Grant, ...]
    scopes: tuple[str, ...]
    held_by: str | None
    previous_held_by: str | None
    previous_secret_until: datetime | None

    @property
    def confidential(self) -> bool:
        return self.secret_digest is not None

    def is_held_by(self, person: str | None, now: datetime) -> bool:
        """Whether somebody holds a secret of it that is good: the newest, or the one before."""
        if person is None:
            return False
        replaced = self.previous_secret_until is not None and now < self.previous_secret_until
        return person == self.held_by or (replaced and person == self.previous_held_by)


_CLIENT: Final = (
    "client_id, name, secret_digest, redirect_uris, post_logout_redirect_uris, backchannel_logout_uri, grants, scopes,"
    " held_by, previous_held_by, previous_secret_until"
)


async def insert_client(
    tx: Transaction,
    client_id: str,
    wanted: WantedClient,
    *,
    secret_digest: str | None,
    secret_hint: str | None,
    created_by: str,
    created_at: datetime,
) -> bool:
    """Keeps a client; False when this id or this secret is there already."""
    inserted = await tx.fetchval(
        """
        INSERT INTO users.oauth_clients (client_id, tenant_id, name, secret_digest, secret_hint, redirect_uris, grants,
                                         scopes, created_by, held_by, created_at, updated_at, post_logout_redirect_uris,
                                         backchannel_logout_uri)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10, $10, $11, $12)
        ON CONFLICT DO NOTHING RETURNING true
        """,
        client_id,
        tx.tenant_id,
        wanted.name,
        secret_digest,
        secret_hint,
        list(wanted.redirect_uris),
        list(wanted.grants),
        list(wanted.scopes),
        created_by,
        created_at,
        list(wanted.post_logout_redirect_uris),
        wanted.backchannel_logout_uri,
    )
    return inserted is True


async def client(tx: Transaction, client_id: str, *, to_change: bool = False) -> Client | None:
    """A client of this tenant that was not removed; nobody changes it until the transaction ends."""
    lock = "UPDATE" if to_change else "SHARE"
    row = await tx.fetchrow(
        f"SELECT {_CLIENT} FROM users.oauth_clients WHERE client_id = $1 AND removed_at IS NULL FOR {lock}", client_id
    )
    if row is None:
        return None
    names = ("redirect_uris", "post_logout_redirect_uris", "grants", "scopes")
    lists = {name: tuple(row[name]) for name in names}
    return Client(**{**dict(row), **lists})


async def count_clients(tx: Transaction) -> int:
    return int(
        await tx.fetchval(
            "SELECT count(*) FROM users.oauth_clients WHERE tenant_id = $1 AND removed_at IS NULL", tx.tenant_id
        )
    )


async def change_client(tx: Transaction, client_id: str, wanted: WantedClient, at: datetime) -> None:
    await tx.execute(
        "UPDATE users.oauth_clients SET name = $2, redirect_uris = $3, grants = $4, scopes = $5, updated_at = $6,"
        " post_logout_redirect_uris = $7, backchannel_logout_uri = $8 WHERE client_id = $1",
        client_id,
        wanted.name,
        list(wanted.redirect_uris),
        list(wanted.grants),
        list(wanted.scopes),
        at,
        list(wanted.post_logout_redirect_uris),
        wanted.backchannel_logout_uri,
    )


async def replace_secret(
    tx: Transaction, client_id: str, *, digest: str, hint: str, held_by: str, previous_until: datetime, at: datetime
) -> bool:
    """Another secret, with the one before good until then for whoever held it; False when it is in use already."""
    if await tx.fetchval("SELECT EXISTS (SELECT FROM users.oauth_clients WHERE secret_digest = $1)", digest):
        return False
    await tx.execute(
        "UPDATE users.oauth_clients SET previous_secret_digest = secret_digest, previous_secret_until = $5,"
        " previous_held_by = held_by, secret_digest = $2, secret_hint = $3, held_by = $4, updated_at = $6"
        " WHERE client_id = $1",
        client_id,
        digest,
        hint,
        held_by,
        previous_until,
        at,
    )
    return True


async def remove_client(tx: Transaction, client_id: str, at: datetime) -> None:
    await tx.execute("UPDATE users.oauth_clients SET removed_at = $2 WHERE client_id = $1", client_id, at)


async def release_clients(tx: Transaction, person: str) -> None:
    """Nobody holds the secrets any more that this person has seen last: their clients call the API no longer."""
    for column in ("held_by", "previous_held_by"):
        await tx.execute(
            f"UPDATE users.oauth_clients SET {column} = NULL WHERE tenant_id = $1 AND {column} = $2",
            tx.tenant_id,
            person,
        )
    await tx.execute(
        "DELETE FROM users.oauth_client_tokens WHERE tenant_id = $1 AND held_by = $2", tx.tenant_id, person
    )


async def live_clients(tx: Transaction) -> list[str]:
    """The clients of this tenant that were not removed."""
    rows = await tx.fetch(
        "SELECT client_id FROM users.oauth_clients WHERE tenant_id = $1 AND removed_at IS NULL ORDER BY client_id",
        tx.tenant_id,
    )
    return [row["client_id"] for row in rows]


# -- their own tokens --------------------------------------------------------------------------------------------------


async def insert_client_token(
    tx: Transaction,
    digest: str,
    client: Client,
    scopes: tuple[str, ...],
    *,
    held_by: str,
    at: datetime,
    expires_at: datetime,
) -> None:
    """Keeps a token of a client, and lets go of those that are over."""
    await tx.execute(
        "DELETE FROM users.oauth_client_tokens WHERE client_id = $1 AND expires_at < $2", client.client_id, at
    )
    await tx.execute(
        "INSERT INTO users.oauth_client_tokens (digest, tenant_id, client_id, held_by, scopes, issued_at, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        digest,
        tx.tenant_id,
        client.client_id,
        held_by,
        list(scopes),
        at,
        expires_at,
    )


async def drop_client_token(tx: Transaction, digest: str, client_id: str) -> bool:
    """Ends a token of this client; False when there is none."""
    dropped = await tx.fetchval(
        "DELETE FROM users.oauth_client_tokens WHERE digest = $1 AND client_id = $2 RETURNING true", digest, client_id
    )
    return dropped is True


async def drop_client_tokens(tx: Transaction, client_id: str) -> None:
    await tx.execute("DELETE FROM users.oauth_client_tokens WHERE client_id = $1", client_id)
