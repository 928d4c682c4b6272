"""SQL of a tenant's configuration: the document that holds, its history, and the pictures that it names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from prog_broker.transaction import Transaction
from prog_contracts.configuration import Configuration, ConfigurationVersion


@dataclass(frozen=True, slots=True)
class Configured:
    """The document that holds; version 0 is that of a tenant which never had one."""

    version: int
    configuration: Configuration


async def configured(tx: Transaction, *, lock: bool = False) -> Configured:
    """With `lock` nobody else changes it until the transaction ends."""
    if lock:  # the tenant's row, for there may be no document yet
        await tx.execute("SELECT FROM tenants.tenants WHERE tenant_id = $1 FOR UPDATE", tx.tenant_id)
    row = await tx.fetchrow("SELECT version, settings FROM tenants.configs WHERE tenant_id = $1", tx.tenant_id)
    if row is None:
        return Configured(0, Configuration())
    return Configured(row["version"], Configuration.model_validate_json(row["settings"]))


async def version_that_holds(tx: Transaction) -> ConfigurationVersion:
    row = await tx.fetchrow(
        "SELECT version, settings, changed, changed_by, changed_at, reason, restored_version"
        " FROM tenants.config_versions WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1",
        tx.tenant_id,
    )
    if row is None:
        return ConfigurationVersion()
    values = dict(row)
    return ConfigurationVersion(configuration=Configuration.model_validate_json(values.pop("settings")), **values)


async def configuration_of(tx: Transaction, version: int) -> Configuration | None:
    """The document of an earlier version."""
    settings = await tx.fetchval(
        "SELECT settings FROM tenants.config_versions WHERE tenant_id = $1 AND version = $2", tx.tenant_id, version
    )
    return None if settings is None else Configuration.model_validate_json(settings)


async def put_configuration(
    tx: Transaction,
    version: int,
    configuration: Configuration,
    changed: Sequence[str],
    *,
    reason: str | None = None,
    restored_version: int | None = None,
) -> None:
    """Makes it the document that holds, and a version of the history."""
    settings = configuration.model_dump_json()
    await tx.execute(
        """
        INSERT INTO tenants.configs (tenant_id, version, settings, updated_at) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant_id) DO UPDATE
        SET version = EXCLUDED.version, settings = EXCLUDED.settings, updated_at = EXCLUDED.updated_at
        """,
        tx.tenant_id,
        version,
        settings,
        tx.now,
    )
    await tx.execute(
        """
        INSERT INTO tenants.config_versions (tenant_id, version, settings, changed, changed_by, reason,
                                             restored_version, changed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        tx.tenant_id,
        version,
        settings,
        list(changed),
        tx.actor,
        reason,
        restored_version,
        tx.now,
    )


async def has_logo(tx: Transaction, logo_id: str) -> bool:
    query = "SELECT EXISTS (SELECT FROM tenants.logos WHERE tenant_id = $1 AND logo_id = $2)"
    return bool(await tx.fetchval(query, tx.tenant_id, logo_id))


async def count_logos(tx: Transaction) -> int:
    return int(await tx.fetchval("SELECT count(*) FROM tenants.logos WHERE tenant_id = $1", tx.tenant_id))


async def insert_logo(tx: Transaction, logo_id: str, content: bytes, width: int, height: int) -> None:
    await tx.execute(
        "INSERT INTO tenants.logos (tenant_id, logo_id, content, width, height, stored_at)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
        tx.tenant_id,
        logo_id,
        content,
        width,
        height,
        tx.now,
    )
