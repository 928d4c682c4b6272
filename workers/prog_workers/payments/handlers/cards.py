"""Keeping a card: a call to the gateway's vault, then a row."""

from __future__ import annotations

from prog_broker.transaction import Transaction
from prog_contracts.errors import Invalid, Unavailable
from prog_contracts.ids import new_id
from prog_workers.payments import errors, store
from prog_workers.payments.gateway.port import CardRefused, GatewaySilent, KeptCard, Payer
from prog_workers.payments.handlers.domain import gateway
from prog_workers.payments.model import Card, Customer


async def customer_of(tx: Transaction) -> Customer:
    """The tenant's customer. Raises CustomerNotReady while the news of the tenant is on its way."""
    customer = await store.customers.customer(tx)
    if customer is None:
        raise errors.CustomerNotReady("The tenant has no customer yet; it will in a moment.")
    return customer


async def call_gateway(token: str, customer: Customer, key: str, *, field: str) -> KeptCard:
    """Puts the card into the gateway's vault; with the same key again, the same card.

    Raises Invalid for `field` when the gateway refuses the token, Unavailable when it does not answer.
    """
    payer = Payer(customer.id, customer.name, customer.email, customer.gateway_reference)
    try:
        return await gateway().keep_card(token, payer, key)
    except CardRefused as error:
        raise Invalid.field(field, "card_refused", "The payment provider does not accept this card.") from error
    except GatewaySilent as error:
        raise Unavailable("The payment provider does not answer.", code="gateway_silent") from error


async def keep(tx: Transaction, customer: Customer, kept: KeptCard, card_id: str | None = None) -> Card:
    """Adds the card and makes it the default one."""
    return await store.customers.keep_card(tx, customer.id, card_id or new_id("method"), gateway().name, kept)
