"""Domains that were proven once are looked up again, every day: whoever gives a domain up does not keep its people.

A record that is gone is told to the owners at once, and takes the domain away when it has been gone for a week. A DNS
that does not answer takes nothing away: it would shut people out for somebody else's outage.
"""

from __future__ import annotations

from typing import Final

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome
from prog_broker.transaction import Transaction
from prog_contracts.actors import is_process
from prog_contracts.custom_domains import RecheckCustomDomain
from prog_contracts.sign_on import DomainCheckFailed, RecheckDomain, RecheckDomains
from prog_workers.tenants import dns, errors, rules, store
from prog_workers.tenants.handlers.domain import check_tenant, tell_owners, tenants
from prog_workers.tenants.handlers.sign_on import announced

BATCH: Final = 20
"""Few, for each may wait for a DNS for seconds, and others' commands wait behind it."""


@tenants.handles(RecheckDomains)
async def recheck_domains(command: RecheckDomains, tx: Transaction) -> None:
    """Has the domains that are due looked up, each under its tenant."""
    if not is_process(tx.actor):
        raise errors.not_permitted()
    for tenant_id, domain in await store.domains_to_check(tx, BATCH):
        tx.send(RecheckDomain(tenant_id=tenant_id, domain_name=domain), tenant_id=tenant_id)
    for tenant_id, domain in await store.custom_domains_to_check(tx, BATCH):
        tx.send(RecheckCustomDomain(tenant_id=tenant_id, domain_name=domain), tenant_id=tenant_id)


@tenants.performs(RecheckDomain)
async def recheck_domain(command: RecheckDomain, work: Work) -> Finish:
    """Asks the DNS between two transactions."""
    domain = rules.checked_domain(command.domain_name)
    async with work.transaction() as tx:
        check_tenant(command.tenant_id, tx)
        if not is_process(tx.actor):
            raise errors.not_permitted()
        claim = await store.domain_claim(tx, "domain_claims", domain)
    if claim is None:
        return _nothing
    there = (await dns.prove(rules.dns_name(domain), rules.dns_text(claim.token))).there

    async def record(tx: Transaction) -> Outcome:
        if await store.domain_claim(tx, "domain_claims", domain) != claim:
            return None
        proof = await store.proof(tx, domain)
        if proof is None:
            return None
        if rules.is_lost(there, proof.missing_for):
            await store.lose_domain(tx, domain)
            return await announced(tx, "domain_lost", domain)
        await store.note_checked(tx, domain, there=there)
        if there is not False:
            return None
        tenant = await store.tenant(tx)
        if proof.missing_for is None and tenant is not None:
            await tell_owners(
                tx, "tenant_sign_on_changed", tenant_name=tenant.name, what="domain_missing", detail=domain
            )
        return DomainCheckFailed(tenant_id=tx.tenant_id, domain_name=domain, reason="record_missing")

    return record


async def _nothing(tx: Transaction) -> Outcome:
    return None
