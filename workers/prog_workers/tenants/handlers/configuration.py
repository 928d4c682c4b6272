"""What a tenant sets for itself: changed as a whole, rolled back to what it was, and the pictures that it names."""

from __future__ import annotations

from prog_broker.outcome import Reply
from prog_broker.transaction import Transaction
from prog_contracts.configuration import (
    Configuration,
    ConfigureTenant,
    LogoStored,
    RollBackConfiguration,
    StoreLogo,
    TenantConfigured,
)
from prog_contracts.errors import Invalid
from prog_contracts.inputs import clean_name
from prog_workers.tenants import errors, rules, store
from prog_workers.tenants.handlers.domain import check_tenant, locked, require, tenants
from prog_workers.tenants.rules import configuration as decisions


@tenants.handles(ConfigureTenant)
async def configure_tenant(command: ConfigureTenant, tx: Transaction) -> Reply:
    check_tenant(command.tenant_id, tx)
    await require(tx, "config.update")
    wanted = decisions.checked_configuration(command.configuration)
    return await _put(tx, wanted, command.expected_version, _reason(command.reason))


@tenants.handles(RollBackConfiguration)
async def roll_back_configuration(command: RollBackConfiguration, tx: Transaction) -> Reply:
    """The earlier document is held to the rules of today."""
    check_tenant(command.tenant_id, tx)
    await require(tx, "config.update")
    earlier = await store.configuration_of(tx, command.version)
    if earlier is None:
        raise errors.configuration_version_unknown()
    wanted = decisions.checked_configuration(earlier)
    reason = _reason(command.reason)
    return await _put(tx, wanted, command.expected_version, reason, restored_version=command.version)


@tenants.handles(StoreLogo)
async def store_logo(command: StoreLogo, tx: Transaction) -> LogoStored | Reply:
    """Keeps the picture under a digest of it; one that is there already is kept once."""
    check_tenant(command.tenant_id, tx)
    await require(tx, "config.update")
    content = decisions.checked_logo(command.content, command.width, command.height)
    stored = LogoStored(
        tenant_id=tx.tenant_id,
        logo_id=decisions.logo_id_of(content),
        width=command.width,
        height=command.height,
        size_bytes=len(content),
    )
    await locked(tx)
    if await store.has_logo(tx, stored.logo_id):
        return Reply(stored)
    if await store.count_logos(tx) >= decisions.LOGOS_MAX:
        raise errors.too_many_logos(decisions.LOGOS_MAX)
    await store.insert_logo(tx, stored.logo_id, content, command.width, command.height)
    return stored


async def _put(
    tx: Transaction,
    wanted: Configuration,
    expected_version: int | None,
    reason: str | None,
    restored_version: int | None = None,
) -> Reply:
    """Makes a version of what is different; what is the same already stays as it is. Replies with the version that
    holds then, whoever made it."""
    now = await store.configured(tx, lock=True)
    if expected_version is not None and expected_version != now.version:
        raise errors.version_mismatch(now.version)
    if wanted.branding.logo is not None and not await store.has_logo(tx, wanted.branding.logo):
        raise Invalid.field("settings.branding.logo", "unknown_logo", "There is no such logo. Send the picture first.")
    changed = tuple(now.configuration.changes(wanted))
    if not changed:
        return Reply(await store.version_that_holds(tx))
    version = now.version + 1
    await store.put_configuration(tx, version, wanted, changed, reason=reason, restored_version=restored_version)
    configured = TenantConfigured(
        tenant_id=tx.tenant_id,
        version=version,
        configuration=wanted,
        changed=changed,
        reason=reason,
        restored_version=restored_version,
    )
    return Reply(await store.version_that_holds(tx), configured)


def _reason(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    try:
        return clean_name(text, "reason", max_length=rules.REASON_MAX_LENGTH)
    except Invalid as error:
        message = "A reason is plain text of 500 characters at most."
        raise Invalid.field("reason", error.fields[0].code, message) from None
