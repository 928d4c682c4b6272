"""SQL of a tenant's directory: its users, its groups and what they give."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from prog_broker.transaction import Transaction
from prog_contracts.directory import DEFAULT_ROLE, DefaultRole, MappedRole
from prog_workers.tenants.rules import DIRECTORY_ROLES
from prog_workers.tenants.scim import GroupState, UserState


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """An entry. `user_id` is the account that has joined; `role` the one that the groups gave last."""

    directory_user_id: str
    user_name: str
    email: str | None
    active: bool
    user_id: str | None
    account_email: str | None
    account_name: str | None
    role: MappedRole
    resource: dict[str, Any]
    version: int


@dataclass(frozen=True, slots=True)
class DirectoryGroup:
    directory_group_id: str
    name: str
    external_id: str | None
    role: MappedRole | None
    version: int


@dataclass(frozen=True, slots=True)
class DueRole:
    """An entry whose groups give another role than they gave before."""

    directory_user_id: str
    user_id: str | None
    email: str | None
    role: MappedRole


_USER = """
SELECT directory_user_id, resource ->> 'userName' AS user_name, email, active, user_id, account_email, account_name,
       role, resource, version
FROM tenants.directory_users
"""
_GROUP = """
SELECT directory_group_id, resource ->> 'displayName' AS name, resource ->> 'externalId' AS external_id, role, version
FROM tenants.directory_groups
"""


def _user(row: Any) -> DirectoryUser | None:
    return None if row is None else DirectoryUser(**{**dict(row), "resource": orjson.loads(row["resource"])})


# -- users -------------------------------------------------------------------------------------------------------------


async def directory_user(tx: Transaction, directory_user_id: str) -> DirectoryUser | None:
    """An entry, locked until the transaction ends."""
    query = f"{_USER} WHERE tenant_id = $1 AND directory_user_id = $2 FOR UPDATE"
    return _user(await tx.fetchrow(query, tx.tenant_id, directory_user_id))


async def directory_user_of(tx: Transaction, user_id: str) -> DirectoryUser | None:
    """The entry that an account has joined by, locked until the transaction ends."""
    return _user(await tx.fetchrow(f"{_USER} WHERE tenant_id = $1 AND user_id = $2 FOR UPDATE", tx.tenant_id, user_id))


async def directory_user_at(tx: Transaction, email: str) -> DirectoryUser | None:
    """The entry with an address, locked until the transaction ends."""
    return _user(await tx.fetchrow(f"{_USER} WHERE tenant_id = $1 AND email = $2 FOR UPDATE", tx.tenant_id, email))


async def taken_by_another(tx: Transaction, directory_user_id: str, state: UserState) -> str | None:
    """The attribute of SCIM that another entry has already, or None."""
    row = await tx.fetchrow(
        """
        SELECT name_key = $3 AS same_name FROM tenants.directory_users
        WHERE tenant_id = $1 AND directory_user_id <> $2 AND (name_key = $3 OR email = $4)
        ORDER BY name_key = $3 DESC LIMIT 1
        """,
        tx.tenant_id,
        directory_user_id,
        state.name_key,
        state.email,
    )
    return None if row is None else "userName" if row["same_name"] else "e-mail address"


async def insert_directory_user(tx: Transaction, directory_user_id: str, state: UserState, role: MappedRole) -> bool:
    """Adds an entry; False when its id is known."""
    status = await tx.execute(
        """
        INSERT INTO tenants.directory_users (tenant_id, directory_user_id, name_key, email, active, role, resource,
                                             sought, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
        ON CONFLICT (tenant_id, directory_user_id) DO NOTHING
        """,
        tx.tenant_id,
        directory_user_id,
        state.name_key,
        state.email,
        state.active,
        role,
        orjson.dumps(state.resource).decode(),
        orjson.dumps(state.sought).decode(),
        tx.now,
    )
    return status != "INSERT 0 0"


async def update_directory_user(tx: Transaction, directory_user_id: str, state: UserState) -> None:
    await tx.execute(
        """
        UPDATE tenants.directory_users
        SET name_key = $3, email = $4, active = $5, resource = $6, sought = $7, version = version + 1, updated_at = $8
        WHERE tenant_id = $1 AND directory_user_id = $2
        """,
        tx.tenant_id,
        directory_user_id,
        state.name_key,
        state.email,
        state.active,
        orjson.dumps(state.resource).decode(),
        orjson.dumps(state.sought).decode(),
        tx.now,
    )


async def link_account(tx: Transaction, directory_user_id: str, user_id: str | None) -> None:
    """Says which account has joined by an entry; None forgets it."""
    await tx.execute(
        "UPDATE tenants.directory_users SET user_id = $3, account_email = NULL, account_name = NULL"
        " WHERE tenant_id = $1 AND directory_user_id = $2",
        tx.tenant_id,
        directory_user_id,
        user_id,
    )


async def remember_account(tx: Transaction, directory_user_id: str, email: str, name: str) -> None:
    """Keeps what a membership was known by, to take it up again."""
    await tx.execute(
        "UPDATE tenants.directory_users SET account_email = $3, account_name = $4"
        " WHERE tenant_id = $1 AND directory_user_id = $2",
        tx.tenant_id,
        directory_user_id,
        email,
        name,
    )


async def delete_directory_user(tx: Transaction, directory_user_id: str) -> None:
    await tx.execute(
        "DELETE FROM tenants.directory_users WHERE tenant_id = $1 AND directory_user_id = $2",
        tx.tenant_id,
        directory_user_id,
    )


# -- groups ------------------------------------------------------------------------------------------------------------


async def directory_group(tx: Transaction, directory_group_id: str) -> DirectoryGroup | None:
    """A group, locked until the transaction ends."""
    row = await tx.fetchrow(
        f"{_GROUP} WHERE tenant_id = $1 AND directory_group_id = $2 FOR UPDATE", tx.tenant_id, directory_group_id
    )
    return None if row is None else DirectoryGroup(**dict(row))


async def group_members(tx: Transaction, directory_group_id: str) -> frozenset[str]:
    rows = await tx.fetch(
        "SELECT directory_user_id FROM tenants.directory_group_members"
        " WHERE tenant_id = $1 AND directory_group_id = $2",
        tx.tenant_id,
        directory_group_id,
    )
    return frozenset(row["directory_user_id"] for row in rows)


async def group_name_taken(tx: Transaction, directory_group_id: str, state: GroupState) -> bool:
    query = """
        SELECT EXISTS (SELECT FROM tenants.directory_groups
                       WHERE tenant_id = $1 AND directory_group_id <> $2 AND name_key = $3)
    """
    return bool(await tx.fetchval(query, tx.tenant_id, directory_group_id, state.name_key))


async def put_directory_group(tx: Transaction, directory_group_id: str, state: GroupState) -> None:
    """Makes a group, or writes what it is called now."""
    await tx.execute(
        """
        INSERT INTO tenants.directory_groups AS g (tenant_id, directory_group_id, name_key, resource, sought,
                                                   created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $6)
        ON CONFLICT (tenant_id, directory_group_id) DO UPDATE
        SET name_key = EXCLUDED.name_key, resource = EXCLUDED.resource, sought = EXCLUDED.sought,
            version = g.version + 1, updated_at = EXCLUDED.updated_at
        """,
        tx.tenant_id,
        directory_group_id,
        state.name_key,
        orjson.dumps(state.resource).decode(),
        orjson.dumps(state.sought).decode(),
        tx.now,
    )


async def set_group_role(tx: Transaction, directory_group_id: str, role: MappedRole | None) -> None:
    await tx.execute(
        "UPDATE tenants.directory_groups SET role = $3 WHERE tenant_id = $1 AND directory_group_id = $2",
        tx.tenant_id,
        directory_group_id,
        role,
    )


async def add_group_members(tx: Transaction, directory_group_id: str, users: Collection[str]) -> bool:
    """Adds users of the directory; False when some are none, and then nobody was added."""
    known = await tx.fetchval(
        "SELECT count(*) FROM tenants.directory_users WHERE tenant_id = $1 AND directory_user_id = ANY ($2::text[])",
        tx.tenant_id,
        list(users),
    )
    if known != len(users):
        return False
    await tx.execute(
        "INSERT INTO tenants.directory_group_members (tenant_id, directory_group_id, directory_user_id)"
        " SELECT $1, $2, u FROM unnest($3::text[]) AS u ON CONFLICT DO NOTHING",
        tx.tenant_id,
        directory_group_id,
        list(users),
    )
    return True


async def drop_group_members(tx: Transaction, directory_group_id: str, users: Collection[str]) -> None:
    await tx.execute(
        "DELETE FROM tenants.directory_group_members"
        " WHERE tenant_id = $1 AND directory_group_id = $2 AND directory_user_id = ANY ($3::text[])",
        tx.tenant_id,
        directory_group_id,
        list(users),
    )


async def delete_directory_group(tx: Transaction, directory_group_id: str) -> None:
    await tx.execute(
        "DELETE FROM tenants.directory_groups WHERE tenant_id = $1 AND directory_group_id = $2",
        tx.tenant_id,
        directory_group_id,
    )


# -- roles -------------------------------------------------------------------------------------------------------------


async def default_role(tx: Transaction) -> DefaultRole:
    found: DefaultRole | None = await tx.fetchval(
        "SELECT default_role FROM tenants.directories WHERE tenant_id = $1", tx.tenant_id
    )
    return found or DEFAULT_ROLE


async def set_default_role(tx: Transaction, role: DefaultRole) -> None:
    await tx.execute(
        """
        INSERT INTO tenants.directories (tenant_id, default_role, updated_at) VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id) DO UPDATE SET default_role = EXCLUDED.default_role, updated_at = EXCLUDED.updated_at
        """,
        tx.tenant_id,
        role,
        tx.now,
    )


async def due_roles(tx: Transaction, users: Collection[str] | None, limit: int) -> Sequence[DueRole]:
    """Entries, of these or of all, whose role is not what their groups give now; at most `limit`."""
    rows = await tx.fetch(
        """
        SELECT * FROM (
            SELECT u.directory_user_id, u.user_id, u.email, u.role AS given, coalesce((
                SELECT g.role FROM tenants.directory_group_members AS m
                JOIN tenants.directory_groups AS g USING (tenant_id, directory_group_id)
                WHERE m.tenant_id = $1 AND m.directory_user_id = u.directory_user_id AND g.role IS NOT NULL
                ORDER BY array_position($3::text[], g.role) LIMIT 1
            ), $4) AS role
            FROM tenants.directory_users AS u
            WHERE u.tenant_id = $1 AND ($2::text[] IS NULL OR u.directory_user_id = ANY ($2::text[]))
        ) AS entries WHERE given <> role ORDER BY directory_user_id LIMIT $5
        """,
        tx.tenant_id,
        None if users is None else list(users),
        list(DIRECTORY_ROLES),
        await default_role(tx),
        limit,
    )
    return [DueRole(row["directory_user_id"], row["user_id"], row["email"], row["role"]) for row in rows]


async def set_directory_role(tx: Transaction, directory_user_id: str, role: MappedRole) -> None:
    await tx.execute(
        "UPDATE tenants.directory_users SET role = $3 WHERE tenant_id = $1 AND directory_user_id = $2",
        tx.tenant_id,
        directory_user_id,
        role,
    )
