"""The domain that the use cases register with, and the gateway that they charge through."""

from __future__ import annotations

from prog_broker.domain import Domain
from prog_workers.payments.gateway.port import Gateway

payments = Domain("payments")
payments.owns(
    deleted=(
        "payments.payment_methods",
        "payments.subscriptions",
        "payments.invoice_counters",
        "payments.customers",
    ),
    kept={
        "payments.invoices": "issued invoices, which the law has the platform keep; then the customer and the"
        " subscriptions that they name stay too, and the cards without what the gateway charges them by",
        "payments.invoice_lines": "parts of issued invoices",
        "payments.payments": "how issued invoices were paid",
        "payments.products": "the platform's catalogue; no other tenant has one",
        "payments.prices": "the platform's catalogue; no other tenant has one",
        "payments.dunning_policies": "the platform's catalogue; no other tenant has one",
        "payments.ledger_accounts": "the books",
        "payments.ledger_transactions": "the books",
        "payments.ledger_entries": "the books",
    },
)

_gateway: Gateway | None = None


def use_gateway(gateway: Gateway) -> None:
    """Sets the process's gateway; `app` does so at start, and tests that bring their own."""
    global _gateway  # noqa: PLW0603 - one a process, chosen by its settings
    _gateway = gateway


def gateway() -> Gateway:
    """The process's gateway. Raises RuntimeError before the process has started."""
    if _gateway is None:
        raise RuntimeError("no gateway is set: prog_workers.payments.app chooses one at start")
    return _gateway
