"""Host names: the one spelling of each, which ones no tenant can have, and which are the platform's own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import idna

from prog_contracts.errors import Invalid

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

HOST_MAX_LENGTH: Final = 253
LABELS_MAX: Final = 20
_HOST: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,63}|xn--[a-z0-9-]{1,59})")
_SPECIAL: Final = frozenset({"localhost", "local", "internal", "invalid", "onion", "arpa", "alt", "lan", "home"})
"""Top-level names that no public DNS has (RFC 6761, RFC 6762, RFC 9476, and those of private networks)."""


def normalize_host(text: str, field: str = "domain") -> str:
    """The one spelling of a host's name: lower case, ASCII (IDNA 2008 with the mapping of UTS 46, as browsers have it),
    without a final dot.

    Raises Invalid for `field`, each with what is wrong: an address, a URL, a name of one label, one that cannot be.
    """
    name = text.strip()
    if is_address(name):
        raise Invalid.field(field, "address_not_allowed", "Enter a name such as accounts.example.com, not an address.")
    if any(letter in name for letter in "/:@?#"):
        message = "Enter the name alone, such as accounts.example.com, without https://, a port or a path."
        raise Invalid.field(field, "invalid_domain", message)
    if "*" in name:
        message = "Name each host by itself: one with * would stand for names that you did not mean."
        raise Invalid.field(field, "wildcard_not_allowed", message)
    try:
        name = idna.encode(name[:1000].removesuffix("."), uts46=True, transitional=False).decode("ascii").lower()
    except (idna.IDNAError, UnicodeError):
        name = ""
    fits = len(name) <= HOST_MAX_LENGTH and name.count(".") < LABELS_MAX
    if not fits or _HOST.fullmatch(name) is None:
        raise Invalid.field(field, "invalid_domain", "Enter a name such as accounts.example.com.")
    return name


def is_address(name: str) -> bool:
    """Whether it is an IP address, as a URL has one: version 6 in brackets or not."""
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def is_private(name: str) -> bool:
    """Whether a name is of no public DNS, so that no tenant can have it: of one label, or below a special one."""
    return "." not in name or name.rpartition(".")[2] in _SPECIAL


def is_public_suffix(name: str) -> bool:
    """Whether strangers register names directly below it (`com`, `co.uk`, `github.io`; publicsuffix.org)."""
    return _suffixes().is_public(name)


@cache
def _suffixes() -> PublicSuffixList:
    """Read when the first name is claimed: the list takes some tens of milliseconds."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(accept_unknown=True)


@dataclass(frozen=True, slots=True)
class PlatformHosts:
    """Names under which the platform itself answers, and `target`, to which a tenant's name is to lead.

    `reserved` are names that no tenant gets, nor one below them or above: browsers give pages below a passkey's domain
    its passkeys, and let pages below and above one another share cookies.
    """

    public_url: str
    names: frozenset[str]
    reserved: frozenset[str]
    target: str

    def is_own(self, name: str) -> bool:
        """Whether the platform answers under this name itself: one of its own, an address, or one that no tenant can
        have, as probes and programs within a cluster use them."""
        return name in self.names or is_private(name) or is_address(name)

    def is_reserved(self, name: str) -> bool:
        """Whether a name is the platform's own, or below or above one that is."""
        return any(
            name == own or name.endswith(f".{own}") or own.endswith(f".{name}")
            for own in self.reserved
            if not is_address(own)
        )

    def url_of(self, name: str) -> str:
        """The address of a tenant's own name."""
        return url_at(self.public_url, name)


def url_at(public_url: str, name: str) -> str:
    """The address of a tenant's own name: pages answer there as at the platform's, by the same scheme and port."""
    public = urlsplit(public_url)
    return f"{public.scheme}://{name}" if public.port is None else f"{public.scheme}://{name}:{public.port}"
