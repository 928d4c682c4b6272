"""Identifiers.

Objects carry a TypeID: a prefix that names the kind and the base32 form of a UUIDv7, such as
`tenant_01jd7z4c8nf3ktv9q2m6x0r5we` (TypeID specification 0.3, jetify-com/typeid). It sorts by the time of its making
and can be read aloud. Messages carry a bare UUIDv7 (RFC 9562), as CloudEvents ids.
"""

from __future__ import annotations

import re
from typing import Annotated, Final
from uuid import UUID

import uuid_utils
from pydantic import StringConstraints

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {letter: value for value, letter in enumerate(_ALPHABET)}
_SUFFIX_LENGTH: Final = 26
_TYPE_ID: Final = re.compile(r"^([a-z](?:[a-z_]{0,61}[a-z])?)_([0-7][0-9a-hjkmnp-tv-z]{25})$")


def new_message_id() -> UUID:
    """A fresh UUIDv7 for a message."""
    return UUID(int=uuid_utils.uuid7().int)


def new_id(prefix: str) -> str:
    """A fresh TypeID, such as `new_id("invoice")`."""
    return encode_id(prefix, new_message_id())


def encode_id(prefix: str, value: UUID) -> str:
    """The TypeID that stands for `value`: 130 bits in base32, the two highest ones zero."""
    number = value.int
    letters = [_ALPHABET[(number >> (5 * place)) & 31] for place in range(_SUFFIX_LENGTH - 1, -1, -1)]
    return f"{prefix}_{''.join(letters)}"


def decode_id(text: str, prefix: str | None = None) -> UUID:
    """The UUID inside a TypeID.

    Raises ValueError when `text` is no TypeID, or has another prefix than `prefix`.
    """
    match = _TYPE_ID.match(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not an id such as {prefix or 'user'}_01jd7z4c8nf3ktv9q2m6x0r5we")
    if prefix is not None and match[1] != prefix:
        raise ValueError(f"expected an id that starts with {prefix}_, got {match[1]}_")
    number = 0
    for letter in match[2]:
        number = (number << 5) | _VALUES[letter]
    return UUID(int=number)


def is_id(text: str) -> bool:
    """Whether `text` has the form of a TypeID."""
    return _TYPE_ID.match(text) is not None


PLATFORM_TENANT_ID: Final = encode_id("tenant", UUID(int=1))
"""The platform is itself a tenant: commands that belong to no customer (sign-up, sign-in, leads) run under it."""


def _pattern(prefix: str) -> StringConstraints:
    return StringConstraints(pattern=rf"^{prefix}_[0-7][0-9a-hjkmnp-tv-z]{{25}}$")


UserId = Annotated[str, _pattern("user")]
SessionId = Annotated[str, _pattern("session")]
IdentityId = Annotated[str, _pattern("identity")]
ImpersonationId = Annotated[str, _pattern("impersonation")]
PasskeyId = Annotated[str, _pattern("passkey")]
ApiKeyId = Annotated[str, _pattern("apikey")]
ClientId = Annotated[str, _pattern("client")]
AuthorizationId = Annotated[str, _pattern("authorization")]
TenantId = Annotated[str, _pattern("tenant")]
ExportId = Annotated[str, _pattern("export")]
InvitationId = Annotated[str, _pattern("invitation")]
DirectoryUserId = Annotated[str, _pattern("diruser")]
DirectoryGroupId = Annotated[str, _pattern("dirgroup")]
CustomerId = Annotated[str, _pattern("customer")]
ProductId = Annotated[str, _pattern("product")]
PriceId = Annotated[str, _pattern("price")]
PaymentMethodId = Annotated[str, _pattern("method")]
SubscriptionId = Annotated[str, _pattern("subscription")]
InvoiceId = Annotated[str, _pattern("invoice")]
PaymentId = Annotated[str, _pattern("payment")]
MailId = Annotated[str, _pattern("mail")]
LeadId = Annotated[str, _pattern("lead")]
AlertId = Annotated[str, _pattern("alert")]
OperationId = Annotated[str, _pattern("operation")]
