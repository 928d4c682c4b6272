"""Charging an open invoice: the one place where money moves.

1. An attempt is recorded as `calling`, with its idempotency key, and committed.
2. The gateway is called outside of any transaction. An attempt that an earlier delivery left behind is looked up first:
   the process may have died, or the gateway may have been silent, after it took the money.
3. The outcome is recorded with what follows from it (`settle_charge`).

A silent gateway leaves the attempt `unknown`; the command is retried until a look-up tells, and nothing else of this
tenant overtakes it. There is never a second charge on a guess.
"""

from __future__ import annotations

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.ids import new_id
from prog_contracts.payments import ChargeInvoice, PayInvoice
from prog_workers.payments import errors, store
from prog_workers.payments.gateway.port import ChargeRequest, ChargeResult, GatewaySilent
from prog_workers.payments.handlers.domain import gateway, payments
from prog_workers.payments.handlers.settle_charge import settle_charge
from prog_workers.payments.model import Customer, Invoice, Payment
from prog_workers.payments.rules.charging import idempotency_key
from prog_workers.payments.rules.dunning import SLOT_TRIGGERS, Trigger


@payments.performs(ChargeInvoice)
async def charge_invoice(command: ChargeInvoice, work: Work) -> Finish:
    """Charges the default card. An invoice that is not open any more, or a slot that was used, is left alone."""
    if work.replaying:
        return _nothing
    async with work.transaction() as tx:
        begun = await _begin(tx, command.invoice_id, command.trigger, command.attempt)
    if begun is None:
        return _nothing
    payment, request = begun
    result = await _call(work, payment, request)

    async def record(tx: Transaction) -> Outcome:
        return await settle_charge(tx, payment, result)

    return record


@payments.performs(PayInvoice)
async def pay_invoice(command: PayInvoice, work: Work) -> Finish:
    """Charges the default card because the customer asks for it. The reply is the payment, or why it failed.

    Raises UnknownInvoice, NotPayable and NoCard.
    """
    if work.replaying:
        return _nothing
    async with work.transaction() as tx:
        begun = await _begin(tx, command.invoice_id, "manual", 0)
        if begun is None:
            await _refuse(tx, command.invoice_id)
            return _nothing
    payment, request = begun
    result = await _call(work, payment, request)

    async def record(tx: Transaction) -> Outcome:
        told = await settle_charge(tx, payment, result)
        if result.failure is None:
            return told
        return Reply(None, *told, error=errors.ChargeDeclined.because(result.failure))

    return record


async def _begin(
    tx: Transaction, invoice_id: str, trigger: Trigger, attempt: int
) -> tuple[Payment, ChargeRequest] | None:
    """The attempt to make, recorded; one that this message began before is taken up again. None: nothing to charge."""
    customer = await store.customers.customer(tx)
    invoice = await store.invoices.invoice(tx, invoice_id)
    if customer is None or invoice is None:
        return None
    payment = await store.payments.of_message(tx)
    if payment is None:
        payment = await _new_attempt(tx, invoice, trigger, attempt)
    if payment is None or payment.settled:
        return None
    return payment, _request(invoice, customer, payment)


async def _new_attempt(tx: Transaction, invoice: Invoice, trigger: Trigger, attempt: int) -> Payment | None:
    if invoice.status != "open":
        return None
    if trigger in SLOT_TRIGGERS and await store.payments.of_slot(tx, invoice.id, attempt) is not None:
        return None
    if await store.payments.in_flight(tx, invoice.id):
        raise errors.OutcomeUnknown("Another attempt to charge this invoice has no outcome yet.")
    card = await store.customers.default_card(tx, invoice.customer_id)
    if card is None:
        return None
    slot = attempt if trigger in SLOT_TRIGGERS else invoice.dunning_slot
    payment = Payment(
        id=new_id("payment"),
        invoice_id=invoice.id,
        amount=invoice.money(invoice.amount_due_minor),
        trigger=trigger,
        attempt=slot,
        idempotency_key=idempotency_key(invoice.id, trigger, slot, tx.message_id),
        settled=False,
        resumed=False,
        card=card,
    )
    await store.payments.insert_payment(tx, payment, gateway().name)
    return payment


def _request(invoice: Invoice, customer: Customer, payment: Payment) -> ChargeRequest:
    return ChargeRequest(
        key=payment.idempotency_key,
        amount=payment.amount,
        card_reference=payment.card.gateway_reference,
        payer_reference=customer.gateway_reference or "",
        description=f"Invoice {invoice.number}",
    )


async def _call(work: Work, payment: Payment, request: ChargeRequest) -> ChargeResult:
    """What the gateway did: found when the attempt is taken up again, else done now.

    Raises OutcomeUnknown, with the attempt marked so, when the gateway is silent.
    """
    try:
        if payment.resumed:
            found = await gateway().find(request)
            if found is not None:
                return found
        return await gateway().charge(request)
    except GatewaySilent as error:
        async with work.transaction() as tx:
            await store.payments.mark_unknown(tx, payment.id)
        raise errors.OutcomeUnknown("The payment provider did not say whether it took the money.") from error


async def _refuse(tx: Transaction, invoice_id: str) -> None:
    """Says why an invoice cannot be paid now."""
    invoice = await store.invoices.invoice(tx, invoice_id)
    if invoice is None:
        raise errors.UnknownInvoice(f"There is no invoice {invoice_id}.")
    if invoice.status != "open":
        raise errors.NotPayable(f"Invoice {invoice.number} is {invoice.status}.")
    raise errors.NoCard("There is no card to charge; add one first.")


async def _nothing(tx: Transaction) -> None:
    return None
