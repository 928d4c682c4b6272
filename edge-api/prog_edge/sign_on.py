"""What API and pages share about a tenant's sign-on: the commands, and the look at a provider before it is taken."""

from __future__ import annotations

from prog_contracts.errors import Invalid
from prog_contracts.sign_on import ConfigureSignOn, SignOnRole
from prog_edge.platform import Platform
from prog_kit.outbound import Unreachable
from prog_kit.secrets import sign_on_purpose


async def configuration(
    platform: Platform,
    tenant_id: str,
    *,
    issuer: str,
    client_id: str,
    client_secret: str | None,
    default_role: SignOnRole,
    enforced: bool,
    api_key_days: int | None,
) -> ConfigureSignOn:
    """The command, for an issuer that answers as a provider does. Raises Invalid on `issuer` for any other."""
    issuer = issuer.strip()
    try:
        await platform.federation.probe(tenant_id, issuer)
    except (Unreachable, ValueError) as error:
        message = error.message if isinstance(error, Unreachable) else "This is no address of a provider."
        raise Invalid.field("issuer", "provider_unusable", message) from error
    sealed = None if not client_secret else platform.sealer.seal(client_secret, sign_on_purpose(tenant_id))
    return ConfigureSignOn(
        tenant_id=tenant_id,
        issuer=issuer,
        client_id=client_id,
        sealed_client_secret=sealed,
        default_role=default_role,
        enforced=enforced,
        api_key_days=api_key_days,
    )
