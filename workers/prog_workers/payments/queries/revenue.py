"""Figures: recurring revenue now, and the balance of every account of the ledger."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prog_contracts.money import Money
from prog_contracts.payments import Interval
from prog_kit.database import Connection
from prog_workers.payments.rules.amounts import line_amount_minor, monthly_minor


@dataclass(frozen=True, slots=True)
class Revenue:
    """Subscriptions by status, and monthly recurring revenue by currency of those that are active or past due."""

    subscriptions: Mapping[str, int]
    monthly: Sequence[Money]


@dataclass(frozen=True, slots=True)
class AccountBalance:
    """The sum of an account's entries in one currency; debit above zero."""

    account: str
    balance: Money


async def revenue(connection: Connection) -> Revenue:
    """Recurring revenue of the viewer's rows at this moment."""
    rows = await connection.fetch(
        """
        SELECT s.status, p.model, p.unit_amount_minor, p.currency, p.interval, p.interval_count, s.quantity,
               count(*) AS subscriptions
        FROM payments.subscriptions AS s JOIN payments.prices AS p ON p.id = s.price_id
        GROUP BY s.status, p.model, p.unit_amount_minor, p.currency, p.interval, p.interval_count, s.quantity
        """
    )
    by_status: dict[str, int] = defaultdict(int)
    amounts: dict[str, list[tuple[int, Interval, int]]] = defaultdict(list)
    for row in rows:
        by_status[row["status"]] += row["subscriptions"]
        if row["status"] in ("active", "past_due"):
            amount = line_amount_minor(row["model"], row["unit_amount_minor"], row["quantity"])
            amounts[row["currency"]].append((amount * row["subscriptions"], row["interval"], row["interval_count"]))
    monthly = [Money(amount=monthly_minor(parts), currency=currency) for currency, parts in sorted(amounts.items())]
    return Revenue(dict(by_status), monthly)


async def trial_balance(connection: Connection) -> Sequence[AccountBalance]:
    """Every account's balance. They sum to zero in each currency."""
    rows = await connection.fetch(
        """
        SELECT account, currency, sum(amount_minor)::bigint AS balance FROM payments.ledger_entries
        GROUP BY account, currency ORDER BY currency, account
        """
    )
    return [AccountBalance(row["account"], Money(amount=row["balance"], currency=row["currency"])) for row in rows]
