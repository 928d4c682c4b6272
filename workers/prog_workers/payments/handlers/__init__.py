"""Use cases, one a file; importing this package registers them all.

| message | use case |
|---|---|
| TenantCreated, TenantUpdated, TenantDeletionRequested, TenantDeleted | `customers` |
| CreateSubscription | `create_subscription` |
| RenewSubscription | `renew_subscription` |
| CancelSubscription, ExpireSubscription, EndDunning | `end_subscription` |
| AttachPaymentMethod | `attach_payment_method` |
| ChargeInvoice, PayInvoice | `charge_invoice`, and what follows from the outcome in `settle_charge` |

`billing`, `cards` and `ending` are steps that several of them share; `timers` and `messages` name what they schedule
and tell.
"""

from prog_workers.payments.handlers import (
    attach_payment_method,
    charge_invoice,
    create_subscription,
    customers,
    end_subscription,
    renew_subscription,
)

__all__ = [
    "attach_payment_method",
    "charge_invoice",
    "create_subscription",
    "customers",
    "end_subscription",
    "renew_subscription",
]
