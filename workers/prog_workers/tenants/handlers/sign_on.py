"""Sign-on: the tenant's own provider, the domains that it may speak for, and who becomes a member by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.permissions import possible
from prog_contracts.sign_on import (
    AdmitSignedOn,
    CheckDomain,
    ClaimDomain,
    ConfigureSignOn,
    DomainCheckFailed,
    DomainClaimed,
    ReleaseDomain,
    RemoveSignOn,
    SignOnAdmissionRefused,
    SignOnChanged,
)
from prog_contracts.tenants import MemberJoined
from prog_kit import secrets
from prog_workers.tenants import dns, errors, rules, store
from prog_workers.tenants.handlers.directory.links import link_joined
from prog_workers.tenants.handlers.domain import check_customer, check_tenant, locked, require, tell_owners, tenants
from prog_workers.tenants.handlers.secrecy import own_seal

_FAILURES: Final[Mapping[bool | None, Literal["record_missing", "unanswered"] | None]] = {
    True: None,
    False: "record_missing",
    None: "unanswered",
}
Change = Literal["configured", "removed", "domain_proven", "domain_released", "domain_lost", "owners_changed"]


@tenants.handles(ConfigureSignOn)
async def configure_sign_on(command: ConfigureSignOn, tx: Transaction) -> SignOnChanged:
    """Takes the provider that is named. Enforced it can be once a domain is proven."""
    check_customer(command.tenant_id, tx)
    await require(tx, "sign_on.manage")
    issuer, client_id = rules.checked_provider(command.issuer, command.client_id)
    before = await store.sign_on(tx)
    if command.enforced and not await store.proven_domains(tx):
        raise errors.nothing_to_enforce()
    under: store.Seal = "tenant"
    if command.sealed_client_secret is not None:
        sealed = await own_seal(tx, command.sealed_client_secret)
    elif before is None or before.issuer != issuer:
        raise errors.client_secret_needed()  # a secret that was given for one server is shown to no other
    else:
        sealed, under = before.sealed_client_secret, before.sealed_under
    wanted = store.SignOn(
        issuer, client_id, sealed, under, command.default_role, command.enforced, command.api_key_days
    )
    await store.put_sign_on(tx, wanted)
    return await announced(tx, "configured", issuer)


@tenants.handles(RemoveSignOn)
async def remove_sign_on(command: RemoveSignOn, tx: Transaction) -> SignOnChanged:
    check_tenant(command.tenant_id, tx)
    await require(tx, "sign_on.manage")
    if not await store.delete_sign_on(tx):
        raise errors.no_sign_on()
    return await announced(tx, "removed")


@tenants.handles(ClaimDomain)
async def claim_domain(command: ClaimDomain, tx: Transaction) -> DomainClaimed:
    check_customer(command.tenant_id, tx)
    await require(tx, "sign_on.manage")
    domain = rules.checked_domain(command.domain_name)
    await locked(tx)
    known = await store.domain_claim(tx, "domain_claims", domain) is not None
    if not known and await store.count_claims(tx, "domain_claims") >= rules.DOMAINS_MAX:
        raise errors.too_many_domains(rules.DOMAINS_MAX)
    claim = await store.claim_domain(tx, "domain_claims", domain, secrets.new_token(24))
    return DomainClaimed(
        tenant_id=tx.tenant_id,
        domain_name=domain,
        record=rules.dns_name(domain),
        value=rules.dns_text(claim.token),
        claimed_at=claim.claimed_at,
    )


@tenants.performs(CheckDomain)
async def check_domain(command: CheckDomain, work: Work) -> Finish:
    """Asks the DNS between two transactions. What it says holds until the record is gone (`domains`), or the domain is
    released."""
    domain = rules.checked_domain(command.domain_name)
    async with work.transaction() as tx:
        check_tenant(command.tenant_id, tx)
        await require(tx, "sign_on.manage")
        claim = await store.domain_claim(tx, "domain_claims", domain)
    if claim is None:
        raise errors.domain_not_claimed()
    proof = await dns.prove(rules.dns_name(domain), rules.dns_text(claim.token))
    failure = _FAILURES[proof.there]

    async def record(tx: Transaction) -> Outcome:
        await require(tx, "sign_on.manage")
        if await store.domain_claim(tx, "domain_claims", domain) != claim:
            raise errors.domain_not_claimed()
        if failure is not None:
            failed = DomainCheckFailed(tenant_id=tx.tenant_id, domain_name=domain, reason=failure)
            return Reply(None, failed, error=errors.domain_not_proven(failure))
        if domain in await store.proven_domains(tx):
            await store.note_checked(tx, domain, there=True)
            return Reply(await changed(tx, "domain_proven"))
        if not await store.prove_domain(tx, domain):
            failed = DomainCheckFailed(tenant_id=tx.tenant_id, domain_name=domain, reason="proven_elsewhere")
            return Reply(None, failed, error=errors.domain_taken())
        return await announced(tx, "domain_proven", domain)

    return record


@tenants.handles(ReleaseDomain)
async def release_domain(command: ReleaseDomain, tx: Transaction) -> SignOnChanged:
    check_tenant(command.tenant_id, tx)
    await require(tx, "sign_on.manage")
    domain = rules.checked_domain(command.domain_name)
    was_proven = domain in await store.proven_domains(tx)
    if not await store.release_claim(tx, "domain_claims", domain):
        raise errors.domain_not_claimed()
    return await (announced(tx, "domain_released", domain) if was_proven else changed(tx, "domain_released"))


@tenants.handles(AdmitSignedOn)
async def admit_signed_on(command: AdmitSignedOn, tx: Transaction) -> Outcome:
    """The users domain has seen who signed on. A member stays with the role that they have.

    Whom the same provider keeps in the tenant's directory is linked to their entry, and is let in while that is active:
    the one that the account has joined by, whatever address it has now, or else the one with the account's address.
    """
    check_tenant(command.tenant_id, tx)
    if tx.actor is not None and not is_process(tx.actor):
        raise errors.not_permitted()
    if await store.member(tx, command.user_id) is not None:
        return None
    tenant, configured = await store.lock_tenant(tx), await store.sign_on(tx)
    if configured is None or tenant is None:
        return SignOnAdmissionRefused(tenant_id=tx.tenant_id, user_id=command.user_id, reason="no_sign_on")
    if not possible(tenant.status, "member.invite"):
        return SignOnAdmissionRefused(tenant_id=tx.tenant_id, user_id=command.user_id, reason="tenant_closed")
    joined_by = await store.directory_user_of(tx, command.user_id)
    entry = joined_by or await store.directory_user_at(tx, command.email)
    if entry is not None and not entry.active:
        return SignOnAdmissionRefused(tenant_id=tx.tenant_id, user_id=command.user_id, reason="deactivated")
    seats = await store.seats(tx, inviting=command.email)
    if rules.is_full(seats):
        return SignOnAdmissionRefused(tenant_id=tx.tenant_id, user_id=command.user_id, reason="member_limit")
    joined = MemberJoined(
        tenant_id=tx.tenant_id,
        user_id=command.user_id,
        email=command.email,
        name=command.name,
        role=configured.default_role,
    )
    if not await store.insert_member(tx, joined.user_id, email=joined.email, name=joined.name, role=joined.role):
        return None
    return [joined, *await link_joined(tx, joined.user_id, joined.email)]


async def owners_changed(tx: Transaction) -> list[SignOnChanged]:
    """To be told along when somebody became an owner, or is one no more: they get in by other ways too."""
    return [] if await store.sign_on(tx) is None else [await changed(tx, "owners_changed")]


async def announced(tx: Transaction, change: Change, detail: str = "") -> SignOnChanged:
    """The change, of which a mail tells each owner: who gets in is decided elsewhere from now on."""
    tenant = await store.tenant(tx)
    assert tenant is not None
    await tell_owners(tx, "tenant_sign_on_changed", tenant_name=tenant.name, what=change, detail=detail)
    return await changed(tx, change)


async def changed(tx: Transaction, change: Change) -> SignOnChanged:
    """The tenant's sign-on as it is now."""
    now = await store.sign_on(tx)
    owners = tuple(owner.user_id for owner in await store.owners(tx))
    proofs = await store.proofs(tx)
    domains = tuple(proofs)
    if now is None:
        return SignOnChanged(tenant_id=tx.tenant_id, change=change, domains=domains, proofs=proofs)
    return SignOnChanged(
        tenant_id=tx.tenant_id,
        change=change,
        issuer=now.issuer,
        client_id=now.client_id,
        default_role=now.default_role,
        enforced=now.enforced and bool(domains),
        api_key_days=now.api_key_days,
        domains=domains,
        proofs=proofs,
        owners=owners,
    )
