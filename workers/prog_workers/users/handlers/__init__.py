"""Use cases of the users domain.

They run under the platform's tenant, for a person belongs to no single customer; those about API keys under the tenant
whose keys they are; and those about OAuth clients under the tenant whose clients they are.

- `accounts`    sign up, verify the address, the first administrator, the profile
- `api_keys`    keys of a tenant's programs
- `authorizing` people sign in to OAuth clients
- `change`      a person sets another password
- `clients`     OAuth clients of tenants, and their own tokens
- `ending`      an account is deleted, restored, and forgotten
- `expiring`    sessions that have run out
- `exporting`   a person takes their data along
- `factors`     a person's authenticator app and recovery codes
- `identities`  sign in with, link and unlink identities of other providers
- `impersonating` operators act in somebody's name
- `magic`       sign in by a link in a mail
- `recovery`    a new password for somebody who forgot theirs
- `revocation`  a person ends sessions of theirs
- `second_step` prove the second factor, at sign-in and before what is dangerous
- `sessions`    sign in, refresh, sign out
- `telling_again` clients are told again of sign-outs that they did not hear of
- `token_keys`  the keys that sign tokens are replaced
- `passkeys`    add, name and remove passkeys, and sign in with one
- `purging`     clear away what is past its time
- `reactions`   what other domains' events mean here

What hashes a password is a performer: it works between two transactions, so that none is held open meanwhile.
"""

from prog_workers.users.handlers import (
    accounts,
    api_keys,
    authorizing,
    change,
    clients,
    ending,
    expiring,
    exporting,
    factors,
    identities,
    impersonating,
    magic,
    passkeys,
    profiles,
    purging,
    reactions,
    recovery,
    revocation,
    second_step,
    sessions,
    telling_again,
    token_keys,
)
from prog_workers.users.handlers.domain import users

__all__ = [
    "accounts",
    "api_keys",
    "authorizing",
    "change",
    "clients",
    "ending",
    "expiring",
    "exporting",
    "factors",
    "identities",
    "impersonating",
    "magic",
    "passkeys",
    "profiles",
    "purging",
    "reactions",
    "recovery",
    "revocation",
    "second_step",
    "sessions",
    "telling_again",
    "token_keys",
    "users",
]
