"""Wiring of the tenants domain: what `prog worker tenants` runs."""

from prog_workers.tenants.handlers import tenants as domain

__all__ = ["domain"]
