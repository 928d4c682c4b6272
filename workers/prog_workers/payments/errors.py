"""What this domain refuses, and why."""

from __future__ import annotations

from prog_contracts.errors import Conflict, NotFound, Unavailable
from prog_contracts.payments import FailureReason


class UnknownPrice(NotFound):
    default_code = "unknown_price"


class UnknownSubscription(NotFound):
    default_code = "unknown_subscription"


class UnknownInvoice(NotFound):
    default_code = "unknown_invoice"


class AlreadySubscribed(Conflict):
    default_code = "already_subscribed"


class NotPayable(Conflict):
    """The invoice is not open: paid, void or given up."""

    default_code = "invoice_not_open"


class NoCard(Conflict):
    default_code = "no_payment_method"


class CustomerNotReady(Unavailable):
    """The tenant is so new that its customer is still on the way."""

    default_code = "customer_not_ready"


class OutcomeUnknown(Unavailable):
    """The gateway did not say whether it took the money; asking again will tell."""

    default_code = "payment_outcome_unknown"


class ChargeDeclined(Conflict):
    """The card was declined; `code` is the reason."""

    @classmethod
    def because(cls, reason: FailureReason) -> ChargeDeclined:
        return cls(_EXPLANATIONS[reason], code=reason)


_EXPLANATIONS: dict[FailureReason, str] = {
    "declined": "The bank declined the card. Try another card, or ask the bank.",
    "insufficient_funds": "The card has not enough funds. Try another card, or later.",
    "expired_card": "The card has expired. Add another card.",
    "lost_card": "The card was reported lost. Add another card.",
    "requires_action": "The bank asks the card's owner to confirm this payment. Add the card again, or another one.",
    "gateway_error": "The payment provider could not process the charge. Try again later.",
}
