"""Charging an open invoice: the one place where money moves.

1. An attempt is recorded as `calling`, with its idempotency key, and committed.
2. The gateway is called outside of any transaction. An attempt that an earlier delivery left behind is looked up first:
   the process may have died, or the gateway may have been silent, after it took the money.
3. The outcome is recorded with what follows from it (`settle_charge`).

A silent gateway leaves the attempt `unknown`; the command is retried until a look-up tells, and nothing else of this
tenant overtakes it. Should the command be given up, whoever next wants to charge the invoice settles the old attempt
before there is a new one. There is never a second charge on a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

from prog_broker.domain import Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction
from prog_contracts.errors import ProgError
from prog_contracts.ids import new_id
from prog_contracts.messages import Message
from prog_contracts.payments import ChargeInvoice, PayInvoice
from prog_workers.payments import errors, store
from prog_workers.payments.gateway.port import ChargeRequest, ChargeResult, GatewaySilent
from prog_workers.payments.handlers.domain import gateway, payments
from prog_workers.payments.handlers.settle_charge import settle_charge
from prog_workers.payments.model import Customer, Invoice, Payment
from prog_workers.payments.rules.charging import idempotency_key
from prog_workers.payments.rules.dunning import SLOT_TRIGGERS, Trigger


@dataclass(frozen=True, slots=True)
class Begun:
    """An attempt that is recorded. `inherited` says that another command began it and never told how it ended."""

    payment: Payment
    request: ChargeRequest
    inherited: bool


@payments.performs(ChargeInvoice)
async def charge_invoice(command: ChargeInvoice, work: Work) -> Finish:
    """Charges the default card. An invoice that is not open any more, or a slot that was used, is left alone."""
    if work.replaying:
        return _nothing
    async with work.transaction() as tx:
        begun = await _begin(tx, command.invoice_id, command.trigger, command.attempt)
    if begun is None:
        return _nothing
    result = await _call(work, begun)

    async def record(tx: Transaction) -> list[Message]:
        told: list[Message] = [*await settle_charge(tx, begun.payment, result)]
        if begun.inherited and result.failure is not None:
            told.append(command)  # the old attempt is settled; now for the one that was asked for
        return told

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
            raise await _refusal(tx, command.invoice_id)
    result = await _call(work, begun)

    async def record(tx: Transaction) -> Outcome:
        told = await settle_charge(tx, begun.payment, result)
        if result.failure is None:
            return told
        return Reply(None, *told, error=errors.ChargeDeclined.because(result.failure))

    return record


async def _begin(tx: Transaction, invoice_id: str, trigger: Trigger, attempt: int) -> Begun | None:
    """The attempt to make, recorded. One without an outcome is taken up again instead. None: nothing to charge."""
    customer = await store.customers.customer(tx)
    invoice = await store.invoices.invoice(tx, invoice_id)
    if customer is None or invoice is None:
        return None
    payment = await store.payments.of_message(tx)
    inherited = None if payment else await store.payments.in_flight(tx, invoice.id)
    payment = payment or inherited or await _new_attempt(tx, invoice, trigger, attempt)
    if payment is None or payment.settled:
        return None
    return Begun(payment, _request(invoice, customer, payment), inherited is not None)


async def _new_attempt(tx: Transaction, invoice: Invoice, trigger: Trigger, attempt: int) -> Payment | None:
    if invoice.status != "open":
        return None
    uses_slot = trigger in SLOT_TRIGGERS
    if uses_slot and await store.payments.slot_used(tx, invoice.id, attempt):
        return None
    card = await store.customers.default_card(tx, invoice.customer_id)
    if card is None:
        return None
    slot = attempt if uses_slot else invoice.dunning_slot
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


async def _call(work: Work, begun: Begun) -> ChargeResult:
    """What the gateway did: found when the attempt is taken up again, else done now.

    Raises OutcomeUnknown, with the attempt marked so, when the gateway is silent.
    """
    try:
        if begun.payment.resumed:
            found = await gateway().find(begun.request)
            if found is not None:
                return found
        return await gateway().charge(begun.request)
    except GatewaySilent as error:
        async with work.transaction() as tx:
            await store.payments.mark_unknown(tx, begun.payment.id)
        raise errors.OutcomeUnknown("The payment provider did not say whether it took the money.") from error


async def _refusal(tx: Transaction, invoice_id: str) -> ProgError:
    """Why an invoice cannot be paid now."""
    invoice = await store.invoices.invoice(tx, invoice_id)
    if invoice is None:
        return errors.UnknownInvoice(f"There is no invoice {invoice_id}.")
    if invoice.status != "open":
        return errors.NotPayable(f"Invoice {invoice.number} is {invoice.status}.")
    return errors.NoCard("There is no card to charge; add one first.")


async def _nothing(tx: Transaction) -> None:
    return None
