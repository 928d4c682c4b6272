"""Use cases of the tenants domain. Every command runs under the tenant that it is about.

- `lifecycle`   a tenant is made, provisioned, renamed
- `invitations` somebody is invited, and joins
- `members`     roles, removals, leaving
- `clock`       the movable clock
- `reactions`   what other domains' events mean here
"""

from prog_workers.tenants.handlers import clock, invitations, lifecycle, members, reactions
from prog_workers.tenants.handlers.domain import PLATFORM_NAME, tenants

__all__ = ["PLATFORM_NAME", "clock", "invitations", "lifecycle", "members", "reactions", "tenants"]
