"""AttachPaymentMethod: keep a card as the default one, and try with it what is still to be paid."""

from __future__ import annotations

from prog_broker.domain import Finish, Work
from prog_broker.transaction import Transaction
from prog_contracts.messages import Message
from prog_contracts.payments import AttachPaymentMethod, ChargeInvoice
from prog_workers.payments import store
from prog_workers.payments.gateway.port import KeptCard
from prog_workers.payments.handlers import messages
from prog_workers.payments.handlers.cards import call_gateway, customer_of, keep
from prog_workers.payments.handlers.domain import payments


@payments.performs(AttachPaymentMethod)
async def attach_payment_method(command: AttachPaymentMethod, work: Work) -> Finish:
    """The reply is the kept card. Open invoices of living subscriptions are charged at once, each one time."""
    async with work.transaction() as tx:
        customer = await customer_of(tx)
    if work.replaying:
        return _nothing
    kept = await call_gateway(command.token, customer, f"card-{command.payment_method_id}", field="token")

    async def record(tx: Transaction) -> list[Message]:
        return await _attach(command, kept, tx)

    return record


async def _attach(command: AttachPaymentMethod, kept: KeptCard, tx: Transaction) -> list[Message]:
    card = await keep(tx, await customer_of(tx), kept, command.payment_method_id)
    told: list[Message] = [messages.payment_method_attached(card)]
    for subscription in await store.subscriptions.living(tx):
        told += [
            ChargeInvoice(invoice_id=invoice.id, attempt=invoice.dunning_slot, trigger="new_card")
            for invoice in await store.invoices.open_of_subscription(tx, subscription.id)
        ]
    return told


async def _nothing(tx: Transaction) -> None:
    return None
