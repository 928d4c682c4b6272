"""What can be bought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg

from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.money import Money
from prog_contracts.payments import Interval
from prog_kit.database import Connection
from prog_workers.payments.rules.amounts import PriceModel

_PRICES = """
    SELECT p.id, p.product_id, r.name, r.description, r.features, r.family, r.highlighted, p.model,
           p.unit_amount_minor, p.currency, p.interval, p.interval_count, p.active AND r.active AS active, p.tenant_id
    FROM payments.prices AS p JOIN payments.products AS r ON r.id = p.product_id
"""


@dataclass(frozen=True, slots=True)
class PriceView:
    """A price with its product. `unit_price` is for one period of `interval_count` intervals (and one unit)."""

    id: str
    product_id: str
    name: str
    description: str
    features: Sequence[str]
    family: str | None
    highlighted: bool
    model: PriceModel
    unit_price: Money
    interval: Interval
    interval_count: int
    active: bool


async def prices(connection: Connection, *, seller: str = PLATFORM_TENANT_ID) -> Sequence[PriceView]:
    """The prices of a seller that are on sale: by interval, the cheapest first. The platform's are public."""
    rows = await connection.fetch(
        f"SELECT * FROM ({_PRICES}) AS listed WHERE tenant_id = $1 AND active"
        " ORDER BY array_position(ARRAY['day', 'week', 'month', 'year'], interval), interval_count,"
        " unit_amount_minor, id",
        seller,
    )
    return [_price(row) for row in rows]


async def price(connection: Connection, price_id: str) -> PriceView | None:
    """One price, on sale or not; None when the viewer may not know of it."""
    row = await connection.fetchrow(f"SELECT * FROM ({_PRICES}) AS listed WHERE id = $1", price_id)
    return None if row is None else _price(row)


def _price(row: asyncpg.Record) -> PriceView:
    return PriceView(
        id=row["id"],
        product_id=row["product_id"],
        name=row["name"],
        description=row["description"],
        features=tuple(row["features"]),
        family=row["family"],
        highlighted=row["highlighted"],
        model=row["model"],
        unit_price=Money(amount=row["unit_amount_minor"], currency=row["currency"]),
        interval=row["interval"],
        interval_count=row["interval_count"],
        active=row["active"],
    )
