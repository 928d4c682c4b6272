"""Wiring of the tenants domain: what `prog worker tenants` runs."""

from prog_broker.worker import Resources
from prog_kit.hosts import hosts_of
from prog_workers.tenants import dns
from prog_workers.tenants.handlers import custom_domains, exporting, lifecycle
from prog_workers.tenants.handlers import tenants as domain

__all__ = ["domain"]


@domain.on_start
async def prepare(resources: Resources) -> None:
    dns.resolver = dns.DnsResolver(resources.settings.dns_servers)
    custom_domains.platform = hosts_of(resources.settings)
    exporting.largest_bytes = resources.settings.tenant_export_mib << 20
    lifecycle.most_a_person = resources.settings.tenants_per_person
