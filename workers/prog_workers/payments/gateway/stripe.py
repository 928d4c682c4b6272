"""Stripe behind the gateway port, over its own SDK with a pinned API version.

A charge is a PaymentIntent that is confirmed at once while the card's owner is away. Our key is both Stripe's
idempotency key and the metadata `charge_key`: the first keeps a repeated call from charging twice, for 24 hours at
least (docs.stripe.com/api/idempotent_requests); the second finds the charge at any time. The search API is not used for
that, as it lags behind by up to a minute; the list of a customer's intents does not.
"""

from __future__ import annotations

from typing import Final

import stripe
from stripe.params import PaymentIntentCreateParams

from prog_contracts.money import Money
from prog_contracts.payments import FailureReason
from prog_workers.payments.gateway.port import CardRefused, ChargeRequest, ChargeResult, GatewaySilent, KeptCard, Payer

API_VERSION: Final = "2026-10-28.endive"
TIMEOUT_SECONDS: Final = 30.0
_LOOKED_THROUGH: Final = 300
"""Newest intents of a customer that `find` reads: an attempt is looked up soon after it was made."""

_TWO_DECIMAL_AT_STRIPE: Final = frozenset({"ISK"})
"""Without minor units in ISO 4217, and counted in hundredths by Stripe (docs.stripe.com/currencies#special-cases)."""

_REASONS: Final[dict[str, FailureReason]] = {
    "insufficient_funds": "insufficient_funds",
    "expired_card": "expired_card",
    "lost_card": "lost_card",
    "stolen_card": "lost_card",
    "pickup_card": "lost_card",
    "authentication_required": "requires_action",
    "processing_error": "gateway_error",
}
"""Stripe's decline codes (docs.stripe.com/declines/codes); all others are `declined`."""


class StripeGateway:
    """One Stripe account. `api_base` is another server than Stripe's in tests alone."""

    def __init__(self, api_key: str, api_base: str = "https://api.stripe.com") -> None:
        self._http = stripe.HTTPXClient(timeout=TIMEOUT_SECONDS)
        self._stripe = stripe.StripeClient(
            api_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")},
            max_network_retries=0,
            http_client=self._http,
        )

    @property
    def name(self) -> str:
        return "stripe"

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]

    async def keep_card(self, token: str, payer: Payer, key: str) -> KeptCard:
        try:
            reference = payer.reference or await self._create_customer(payer)
            method = await self._stripe.v1.payment_methods.attach_async(
                token, {"customer": reference}, {"idempotency_key": key}
            )
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            raise CardRefused(error.user_message or "refused") from error
        except stripe.StripeError as error:
            raise GatewaySilent(str(error)) from error
        if method.card is None:
            raise CardRefused("the payment method is not a card")
        card = method.card
        return KeptCard(method.id, reference, card.brand, card.last4 or "0000", card.exp_month, card.exp_year)

    async def charge(self, request: ChargeRequest) -> ChargeResult:
        params: PaymentIntentCreateParams = {
            "amount": _stripe_amount(request.amount),
            "currency": request.amount.currency.lower(),
            "customer": request.payer_reference,
            "payment_method": request.card_reference,
            "allowed_payment_method_types": ["card"],
            "confirm": True,
            "off_session": True,
            "error_on_requires_action": True,
            "description": request.description,
            "metadata": {"charge_key": request.key},
        }
        try:
            intent = await self._stripe.v1.payment_intents.create_async(params, {"idempotency_key": request.key})
        except stripe.CardError as error:
            return _declined(error)
        except stripe.InvalidRequestError as error:
            return ChargeResult(error.request_id or "", "gateway_error")
        except stripe.StripeError as error:
            raise GatewaySilent(str(error)) from error
        result = _result(intent)
        if result is None:
            raise GatewaySilent(f"{intent.id} is {intent.status}")
        return result

    async def find(self, request: ChargeRequest) -> ChargeResult | None:
        try:
            page = await self._stripe.v1.payment_intents.list_async({"customer": request.payer_reference, "limit": 100})
            read = 0
            async for intent in page.auto_paging_iter():
                if getattr(intent.metadata, "charge_key", None) == request.key:
                    return _result(intent)
                read += 1
                if read >= _LOOKED_THROUGH:
                    break
        except stripe.StripeError as error:
            raise GatewaySilent(str(error)) from error
        return None

    async def _create_customer(self, payer: Payer) -> str:
        customer = await self._stripe.v1.customers.create_async(
            {"name": payer.name, "email": payer.email, "metadata": {"customer_id": payer.id}},
            {"idempotency_key": f"customer-{payer.id}"},
        )
        return customer.id


def _result(intent: stripe.PaymentIntent) -> ChargeResult | None:
    """The outcome in an intent's state, None when it was not confirmed. Raises GatewaySilent while it is processing."""
    match intent.status:
        case "succeeded":
            return ChargeResult(intent.id)
        case "requires_action":
            return ChargeResult(intent.id, "requires_action")
        case "requires_payment_method":
            error = intent.last_payment_error
            return ChargeResult(intent.id, _reason(error.code, error.decline_code) if error else "declined")
        case "canceled":
            return ChargeResult(intent.id, "gateway_error")
        case "processing":
            raise GatewaySilent(f"{intent.id} is still processing")
        case _:
            return None


def _declined(error: stripe.CardError) -> ChargeResult:
    detail = error.error
    intent = detail.payment_intent if detail else None
    reference = intent.id if intent else error.request_id or ""
    return ChargeResult(reference, _reason(error.code, detail.decline_code if detail else None))


def _reason(code: str | None, decline_code: str | None) -> FailureReason:
    return _REASONS.get(decline_code or "") or _REASONS.get(code or "") or "declined"


def _stripe_amount(money: Money) -> int:
    return money.amount * 100 if money.currency in _TWO_DECIMAL_AT_STRIPE else money.amount
