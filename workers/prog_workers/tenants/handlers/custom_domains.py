"""Custom domains: host names of the tenant's own, at which its account pages answer (ADR 32).

A name is proven by a record, as a domain of addresses is, and serves from then on. Once it leads to the platform it is
active, and links in the tenant's mails lead there. It is looked at again every day (`domains`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts import quotas
from prog_contracts.actors import is_process
from prog_contracts.custom_domains import (
    CheckCustomDomain,
    ClaimCustomDomain,
    CustomDomainChanged,
    CustomDomainCheckFailed,
    CustomDomainClaimed,
    CustomDomainProblem,
    RecheckCustomDomain,
    ReleaseCustomDomain,
)
from prog_contracts.hosts import PlatformHosts, is_address, normalize_host
from prog_contracts.messages import Event
from prog_kit import secrets
from prog_workers.tenants import dns, errors, rules, store
from prog_workers.tenants.handlers.domain import (
    check_customer,
    check_tenant,
    locked,
    require,
    tell_managers,
    tenants,
)
from prog_workers.tenants.handlers.usage import warn_owners
from prog_workers.tenants.rules import custom_domains as names

Change = Literal["proven", "activated", "misdirected", "lost", "released"]

platform = PlatformHosts("http://127.0.0.1:8000", frozenset({"127.0.0.1"}), frozenset({"127.0.0.1"}), "127.0.0.1")
"""Whose names no tenant gets, and where theirs lead; `app` puts those of the settings there."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the DNS says of a domain: of its record, and whether its name leads here, None where nobody answered."""

    proof: dns.Proof
    leads_here: bool | None = None
    problem: CustomDomainProblem | None = None
    seen: tuple[str, ...] = ()


@tenants.handles(ClaimCustomDomain)
async def claim_custom_domain(command: ClaimCustomDomain, tx: Transaction) -> Outcome:
    check_customer(command.tenant_id, tx)
    await require(tx, "custom_domain.manage")
    domain = names.checked_custom_domain(command.domain_name, platform)
    tenant = await locked(tx)
    warned: Event | None = None
    if await store.domain_claim(tx, "custom_domains", domain) is None:
        limit, used = await store.custom_domain_limit(tx, tenant.plan), await store.count_claims(tx, "custom_domains")
        refused = quotas.refusal("custom_domains", limit, used)
        if refused is not None:
            raise refused
        warned = await warn_owners(tx, "custom_domains", limit, used + 1)
    claim = await store.claim_domain(tx, "custom_domains", domain, secrets.new_token(24))
    claimed = CustomDomainClaimed(
        tenant_id=tx.tenant_id,
        domain_name=domain,
        record=names.record_of(domain),
        value=rules.dns_text(claim.token),
        target=platform.target,
        claimed_at=claim.claimed_at,
    )
    return Reply(claimed, claimed) if warned is None else Reply(claimed, claimed, warned)


@tenants.performs(CheckCustomDomain)
async def check_custom_domain(command: CheckCustomDomain, work: Work) -> Finish:
    """Asks the DNS between two transactions."""
    domain = names.checked_custom_domain(command.domain_name, platform)
    async with work.transaction() as tx:
        check_tenant(command.tenant_id, tx)
        await require(tx, "custom_domain.manage")
        claim = await store.domain_claim(tx, "custom_domains", domain)
    if claim is None:
        raise errors.custom_domain_not_claimed()
    look = await _look(claim)

    async def record(tx: Transaction) -> Outcome:
        await require(tx, "custom_domain.manage")
        if await store.domain_claim(tx, "custom_domains", domain) != claim:
            raise errors.custom_domain_not_claimed()
        served = await store.served_domain(tx, domain)
        if not look.proof.there:
            await store.note_look(tx, domain, look.problem, look.seen)
            assert look.problem is not None
            failed = _failed(tx, domain, look)
            return Reply(None, failed, error=errors.custom_domain_not_proven(look.problem, names.record_of(domain)))
        events: list[Event] = []
        if served is None:
            if not await store.serve_domain(tx, domain):
                await store.note_look(tx, domain, "proven_elsewhere")
                failed = CustomDomainCheckFailed(tenant_id=tx.tenant_id, domain_name=domain, reason="proven_elsewhere")
                return Reply(None, failed, error=errors.custom_domain_taken())
            served = store.Served(active=False, missing_for=None)
            events.append(await _announced(tx, domain, "proven"))
        events += await _noted(tx, domain, served, look)
        active = served.active if look.leads_here is None else look.leads_here
        state = {"status": "active" if active else "proven", "problem": look.problem, "seen": look.seen}
        return Reply({"domain_name": domain, **state}, *events)

    return record


@tenants.performs(RecheckCustomDomain)
async def recheck_custom_domain(command: RecheckCustomDomain, work: Work) -> Finish:
    """Asks the DNS between two transactions."""
    domain = command.domain_name
    async with work.transaction() as tx:
        check_tenant(command.tenant_id, tx)
        if not is_process(tx.actor):
            raise errors.not_permitted()
        claim = await store.domain_claim(tx, "custom_domains", domain)
    if claim is None:
        return _nothing
    look = await _look(claim)

    async def record(tx: Transaction) -> Outcome:
        if await store.domain_claim(tx, "custom_domains", domain) != claim:
            return None
        served = await store.served_domain(tx, domain)
        return None if served is None else await _noted(tx, domain, served, look)

    return record


@tenants.handles(ReleaseCustomDomain)
async def release_custom_domain(command: ReleaseCustomDomain, tx: Transaction) -> CustomDomainChanged:
    check_tenant(command.tenant_id, tx)
    await require(tx, "custom_domain.manage")
    domain = normalize_host(command.domain_name)
    if await store.domain_claim(tx, "custom_domains", domain) is None:
        raise errors.custom_domain_not_claimed()
    was_served = await store.served_domain(tx, domain) is not None
    await store.release_claim(tx, "custom_domains", domain)
    return await (_announced(tx, domain, "released") if was_served else _changed(tx, domain, "released"))


async def _look(claim: store.DomainClaim) -> Look:
    """Asks for the record, and where it is there for the name itself."""
    proof = await dns.prove(names.record_of(claim.domain), rules.dns_text(claim.token))
    if not proof.there:
        return Look(proof, problem=proof.problem, seen=names.shown(proof.seen))
    try:
        lead = await dns.resolver.lead(claim.domain)
        of_target = None if platform.target in lead.aliases or not lead.addresses else await _target()
    except dns.NoSuchName:
        return Look(proof, leads_here=False, problem="points_nowhere")
    except dns.Unanswered as error:
        return Look(proof, problem="timed_out" if error.timed_out else "server_failed")
    if names.leads_here(lead, platform.target, of_target):
        return Look(proof, leads_here=True)
    seen = names.seen_of(lead)
    return Look(proof, leads_here=False, problem="points_elsewhere" if seen else "points_nowhere", seen=seen)


async def _target() -> names.Lead | None:
    """Where the platform's own name leads; None where that is an address, or the DNS has no such name."""
    try:
        return None if is_address(platform.target) else await dns.resolver.lead(platform.target)
    except dns.NoSuchName:
        return None


async def _noted(tx: Transaction, domain: str, served: store.Served, look: Look) -> list[Event]:
    """Keeps what a look at a proven domain has found, and what follows from it."""
    there = look.proof.there
    await store.note_look(tx, domain, look.problem, look.seen)
    if rules.is_lost(there, served.missing_for):
        await store.stop_serving(tx, domain)
        return [await _announced(tx, domain, "lost")]
    await store.note_served(tx, domain, there=there, leads_here=look.leads_here)
    if there is False:
        if served.missing_for is None:
            await _tell(tx, domain, "missing")
        return [_failed(tx, domain, look)]
    if look.leads_here is True and not served.active:
        return [await _announced(tx, domain, "activated")]
    if look.leads_here is False and served.active:
        return [await _announced(tx, domain, "misdirected")]
    return []


async def _announced(tx: Transaction, domain: str, change: Change) -> CustomDomainChanged:
    """The change, of which a mail tells each owner and admin: whose pages are at a host decides who is asked for
    passwords there."""
    await _tell(tx, domain, change)
    return await _changed(tx, domain, change)


async def _tell(tx: Transaction, domain: str, what: Change | Literal["missing"]) -> None:
    tenant = await store.tenant(tx)
    assert tenant is not None
    await tell_managers(
        tx, "tenant_custom_domain_changed", tenant_name=tenant.name, what=what, domain=domain, target=platform.target
    )


async def _changed(tx: Transaction, domain: str, change: Change) -> CustomDomainChanged:
    """The tenant's domains as they are now."""
    return CustomDomainChanged(
        tenant_id=tx.tenant_id,
        domain_name=domain,
        change=change,
        serves=await store.served_domains(tx),
        mail_domain=await store.mail_domain(tx),
    )


def _failed(tx: Transaction, domain: str, look: Look) -> CustomDomainCheckFailed:
    assert look.problem is not None
    return CustomDomainCheckFailed(tenant_id=tx.tenant_id, domain_name=domain, reason=look.problem, seen=look.seen)


async def _nothing(tx: Transaction) -> Outcome:
    return None
