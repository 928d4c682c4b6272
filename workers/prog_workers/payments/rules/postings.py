"""How each event with money is booked. Debits are above zero, credits below; every posting sums to zero.

| what happened | debit | credit |
|---|---|---|
| an invoice is issued | receivable | revenue |
| a payment arrives for it | cash | receivable |
| a payment arrives for an invoice that is not open any more | cash | customer_credit |
| an invoice is given up | bad_debt | receivable |
| an invoice is void | revenue | receivable |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prog_contracts.money import Money

Account = Literal["receivable", "revenue", "cash", "bad_debt", "customer_credit"]
PostingKind = Literal["invoice", "payment", "overpayment", "write_off", "void"]


@dataclass(frozen=True, slots=True)
class Entry:
    account: Account
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Posting:
    """One transaction of the ledger. `reference` is the invoice or payment that it books, once for each kind."""

    kind: PostingKind
    reference: str
    currency: str
    entries: tuple[Entry, ...]


def invoice_issued(invoice_id: str, total: Money) -> Posting:
    return _transfer("invoice", invoice_id, total, debit="receivable", credit="revenue")


def payment_received(payment_id: str, amount: Money) -> Posting:
    return _transfer("payment", payment_id, amount, debit="cash", credit="receivable")


def overpayment_received(payment_id: str, amount: Money) -> Posting:
    return _transfer("overpayment", payment_id, amount, debit="cash", credit="customer_credit")


def invoice_written_off(invoice_id: str, amount_due: Money) -> Posting:
    return _transfer("write_off", invoice_id, amount_due, debit="bad_debt", credit="receivable")


def invoice_voided(invoice_id: str, amount_due: Money) -> Posting:
    return _transfer("void", invoice_id, amount_due, debit="revenue", credit="receivable")


def _transfer(kind: PostingKind, reference: str, money: Money, *, debit: Account, credit: Account) -> Posting:
    entries = (Entry(debit, money.amount), Entry(credit, -money.amount)) if money.amount else ()
    return Posting(kind, reference, money.currency, entries)
