"""Imports every domain's messages, so that the registry is whole. Processes and tools import this once."""

from prog_contracts import (
    api_keys,
    configuration,
    directory,
    email,
    erasure,
    events,
    exports,
    identities,
    monitoring,
    oauth,
    passkeys,
    payments,
    second_factors,
    sign_on,
    tenants,
    users,
)

__all__ = [
    "api_keys",
    "configuration",
    "directory",
    "email",
    "erasure",
    "events",
    "exports",
    "identities",
    "monitoring",
    "oauth",
    "passkeys",
    "payments",
    "second_factors",
    "sign_on",
    "tenants",
    "users",
]
