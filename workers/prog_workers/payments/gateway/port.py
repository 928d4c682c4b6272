"""The port to a payment provider: keep a card, charge it, and tell later what became of a charge.

Sandbox and Stripe stand behind it, and pass one test suite. Amounts are integer minor units of ISO 4217; what a
provider counts differently, its adapter converts. Every call carries an idempotency key: asked twice with one key, a
provider acts once and answers the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from prog_contracts.money import Money
from prog_contracts.payments import FailureReason


class GatewaySilent(Exception):
    """No answer, or none that tells what was done: a time-out, a broken connection, the provider's own error.

    The call may have had its effect. Only `find`, or the same call with the same key, tells.
    """


class CardRefused(Exception):
    """The provider does not accept this token as a card."""


@dataclass(frozen=True, slots=True)
class Payer:
    """Who pays. `reference` is the provider's own name of this customer, None before it knows it."""

    id: str
    name: str
    email: str
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class KeptCard:
    """A card in the provider's vault. `reference` charges it; the number stays with the provider."""

    reference: str
    payer_reference: str
    brand: str
    last4: str
    expiry_month: int
    expiry_year: int


@dataclass(frozen=True, slots=True)
class ChargeRequest:
    """Take `amount` from a kept card while its owner is away. `key` identifies the attempt for ever."""

    key: str
    amount: Money
    card_reference: str
    payer_reference: str
    description: str


@dataclass(frozen=True, slots=True)
class ChargeResult:
    """What the provider did. `failure` is None when the money was taken; `reference` names its record."""

    reference: str
    failure: FailureReason | None = None


class Gateway(Protocol):
    """One payment provider."""

    @property
    def name(self) -> str:
        """A word for rows and logs: `sandbox`, `stripe`."""
        ...

    async def keep_card(self, token: str, payer: Payer, key: str) -> KeptCard:
        """Puts the card behind a one-time `token` into the vault of `payer`.

        Raises CardRefused for a token that is none, GatewaySilent when the provider does not answer.
        """
        ...

    async def charge(self, request: ChargeRequest) -> ChargeResult:
        """Takes the money, or tells why not. The same key again gives the same result and no second charge.

        Raises GatewaySilent when the outcome is unknown.
        """
        ...

    async def find(self, request: ChargeRequest) -> ChargeResult | None:
        """What became of the charge with this key; None when the provider never got it.

        Raises GatewaySilent when the provider does not answer, or is not done with it.
        """
        ...
