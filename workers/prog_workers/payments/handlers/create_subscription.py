"""CreateSubscription: keep the card, start the first period, write the first invoice, and have it charged."""

from __future__ import annotations

from prog_broker.domain import Finish, Work
from prog_broker.transaction import Transaction
from prog_contracts.errors import Invalid
from prog_contracts.messages import Message
from prog_contracts.payments import CreateSubscription
from prog_workers.payments import errors, store
from prog_workers.payments.gateway.port import KeptCard
from prog_workers.payments.handlers import messages, timers
from prog_workers.payments.handlers.billing import bill_current_period, first_charge
from prog_workers.payments.handlers.cards import call_gateway, customer_of, keep
from prog_workers.payments.handlers.domain import payments
from prog_workers.payments.handlers.ending import end
from prog_workers.payments.model import Customer, Price, Subscription
from prog_workers.payments.rules.periods import period


@payments.performs(CreateSubscription)
async def create_subscription(command: CreateSubscription, work: Work) -> Finish:
    """The reply is the new subscription, `incomplete` until its first invoice is paid a moment later.

    A subscription of the same family that was never paid makes room for the new one; a paid one is a conflict.
    Raises UnknownPrice, AlreadySubscribed, NoCard, Invalid, and CustomerNotReady for a tenant that is just being made.
    """
    async with work.transaction() as tx:
        customer = await customer_of(tx)
        await _sellable(tx, command)
        key = f"card-{tx.message_id}"
    kept = None
    if command.payment_method is not None and not work.replaying:
        kept = await call_gateway(command.payment_method, customer, key, field="payment_method")

    async def record(tx: Transaction) -> list[Message]:
        return await _start(command, kept, tx)

    return record


async def _start(command: CreateSubscription, kept: KeptCard | None, tx: Transaction) -> list[Message]:
    customer = await customer_of(tx)
    price = await _sellable(tx, command)
    told = await _make_room(tx, customer, price)
    if kept is not None:
        told.append(messages.payment_method_attached(await keep(tx, customer, kept)))
    elif price.unit_amount_minor and await store.customers.default_card(tx, customer.id) is None:
        raise Invalid.field("payment_method", "required", "A card is needed: name a payment method.")
    subscription = await _first_period(tx, command, customer, price)
    invoice = await bill_current_period(tx, customer, subscription)
    if invoice.status == "open":
        await timers.expire_unless_paid(tx, subscription.id)
    else:
        await timers.renew_at_period_end(tx, subscription)
    return [
        messages.subscription_created(subscription),
        *told,
        messages.invoice_generated(invoice),
        *first_charge(invoice),
    ]


async def _sellable(tx: Transaction, command: CreateSubscription) -> Price:
    price = await store.subscriptions.price(tx, command.price_id)
    if price is None or not price.active:
        raise errors.UnknownPrice(f"There is no price {command.price_id} on sale.")
    if command.quantity < 1 or (price.model == "flat" and command.quantity != 1):
        raise Invalid.field("quantity", "out_of_range", "A flat price is sold once; a price per unit from 1 on.")
    return price


async def _make_room(tx: Transaction, customer: Customer, price: Price) -> list[Message]:
    if price.family is None:
        return []
    living = await store.subscriptions.living_in_family(tx, customer.id, price.family)
    if living is None:
        return []
    if living.status != "incomplete":
        raise errors.AlreadySubscribed(f"The subscription to {living.price.plan} is {living.status}; cancel it first.")
    return list(await end(tx, living, "superseded"))


async def _first_period(tx: Transaction, command: CreateSubscription, customer: Customer, price: Price) -> Subscription:
    first = period(tx.now, price.interval, price.interval_count, 0)
    subscription = Subscription(
        id=command.subscription_id,
        customer_id=customer.id,
        price=price,
        status="incomplete" if price.unit_amount_minor else "active",
        quantity=command.quantity,
        anchor=tx.now,
        period_index=0,
        current_period_start=first.start,
        current_period_end=first.end,
        cancel_at_period_end=False,
        created_at=tx.now,
    )
    await store.subscriptions.insert_subscription(tx, subscription)
    return subscription
