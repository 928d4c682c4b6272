"""Decisions about custom domains: which names a tenant may claim, and whether a name leads to the platform."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prog_contracts.custom_domains import RECORD_LABEL
from prog_contracts.errors import Invalid
from prog_contracts.hosts import PlatformHosts, is_address, is_private, is_public_suffix, normalize_host
from prog_workers.tenants.rules import dns_name


@dataclass(frozen=True, slots=True)
class Lead:
    """Where a name leads: the names that it stands for, in turn, and the addresses at the end."""

    aliases: tuple[str, ...] = ()
    addresses: frozenset[str] = frozenset()


SEEN_MOST: Final = 5
SEEN_LENGTH: Final = 200


def checked_custom_domain(text: str, platform: PlatformHosts) -> str:
    """A host's name that a tenant may claim, in its one spelling. Raises Invalid on `domain` with what is wrong."""
    name = normalize_host(text)
    if is_private(name):
        message = "This name is for private networks. Enter one that the public DNS has."
        raise Invalid.field("domain", "private_name", message)
    if platform.is_reserved(name):
        message = "This name belongs to the platform itself. Enter one of your own."
        raise Invalid.field("domain", "reserved_domain", message)
    if is_public_suffix(name):
        message = f"Anybody can register names below {name}. Enter one of yours, such as accounts.yours.{name}."
        raise Invalid.field("domain", "public_suffix", message)
    return name


def record_of(name: str) -> str:
    """Where the record that proves a custom domain is looked for: another place than that of a domain of addresses."""
    return dns_name(name, RECORD_LABEL)


def leads_here(lead: Lead, target: str, of_target: Lead | None) -> bool:
    """Whether a name leads to the platform: by its alias, or to none but addresses of the target, as providers answer
    that have an alias at the top of a zone."""
    if target in lead.aliases:
        return True
    there = frozenset({target}) if is_address(target) else frozenset() if of_target is None else of_target.addresses
    return bool(lead.addresses) and lead.addresses <= there


def seen_of(lead: Lead) -> tuple[str, ...]:
    """Where a name leads instead, to be shown."""
    return shown(lead.aliases or tuple(sorted(lead.addresses)))


def shown(found: tuple[str, ...]) -> tuple[str, ...]:
    """What a DNS has answered, without what would not fit a line."""
    return tuple("".join(letter for letter in text if letter.isprintable())[:SEEN_LENGTH] for text in found[:SEEN_MOST])
