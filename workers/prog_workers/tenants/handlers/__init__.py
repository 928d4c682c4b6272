"""Use cases of the tenants domain. Every command runs under the tenant that it is about.

- `lifecycle`   a tenant is made, provisioned, renamed
- `ending`      suspended and resumed, deleted and restored, purged
- `configuration` what a tenant sets, with its history
- `invitations` somebody is invited, and joins
- `members`     roles, removals, leaving
- `releasing`   a person whose account ends is let go
- `directory`   users and groups that an identity provider keeps over SCIM, and what follows for members
- `clock`       the movable clock
- `sign_on`     the tenant's own identity provider, and the domains it speaks for
- `custom_domains` host names of the tenant's own, at which its pages answer
- `exporting`   a tenant takes its data along
- `domains`     those that are proven, of both kinds, looked up again
- `secrecy`     keys of tenants, wrapped anew
- `retention`   what ended long ago is let go of
- `support`     support acts in a member's name
- `usage`      how much of its limits is used, as its owners are told
- `reactions`   what other domains' events mean here
"""

from prog_workers.tenants.handlers import (
    clock,
    configuration,
    custom_domains,
    domains,
    ending,
    exporting,
    invitations,
    lifecycle,
    members,
    reactions,
    releasing,
    retention,
    secrecy,
    sign_on,
    support,
    usage,
)
from prog_workers.tenants.handlers.directory import groups, users
from prog_workers.tenants.handlers.domain import PLATFORM_NAME, tenants

__all__ = [
    "PLATFORM_NAME",
    "clock",
    "configuration",
    "custom_domains",
    "domains",
    "ending",
    "exporting",
    "groups",
    "invitations",
    "lifecycle",
    "members",
    "reactions",
    "releasing",
    "retention",
    "secrecy",
    "sign_on",
    "support",
    "tenants",
    "usage",
    "users",
]
