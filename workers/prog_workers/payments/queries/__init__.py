"""The read side of billing. The edge calls these with a connection of its own role.

What a caller sees follows from the connection: in `Database.scope(tenant_id=…)` the rows of one tenant and the
platform's catalogue, in `Database.operator()` the rows of all. No query here takes that decision.

- `catalogue`      prices on sale
- `subscriptions`  customers, cards, subscriptions and what is wrong with their payment
- `invoices`       invoices with lines and attempts, payments, and an invoice as PDF
- `revenue`        monthly recurring revenue and the trial balance
"""

from prog_workers.payments.queries.catalogue import PriceView, price, prices
from prog_workers.payments.queries.invoices import (
    InvoicePdf,
    InvoiceView,
    LineView,
    PaymentView,
    invoice,
    invoice_pdf,
    invoices,
    lines,
    payments,
)
from prog_workers.payments.queries.pages import Page
from prog_workers.payments.queries.revenue import AccountBalance, Revenue, revenue, trial_balance
from prog_workers.payments.queries.subscriptions import (
    CardView,
    CustomerView,
    DunningView,
    SubscriptionView,
    customer,
    customers,
    payment_methods,
    subscription,
    subscriptions,
)

__all__ = [
    "AccountBalance",
    "CardView",
    "CustomerView",
    "DunningView",
    "InvoicePdf",
    "InvoiceView",
    "LineView",
    "Page",
    "PaymentView",
    "PriceView",
    "Revenue",
    "SubscriptionView",
    "customer",
    "customers",
    "invoice",
    "invoice_pdf",
    "invoices",
    "lines",
    "payment_methods",
    "payments",
    "price",
    "prices",
    "revenue",
    "subscription",
    "subscriptions",
    "trial_balance",
]
