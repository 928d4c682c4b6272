"""All SQL of the write side. Each function runs in the handler's transaction, which has the tenant set."""

from prog_workers.payments.store import customers, invoices, ledger, payments, subscriptions

__all__ = ["customers", "invoices", "ledger", "payments", "subscriptions"]
