"""Prices as the pages show them."""

from __future__ import annotations

from prog_edge.web.ports import Plan
from prog_kit.database import Connection
from prog_workers.payments import queries


async def plans_on_sale(connection: Connection) -> list[Plan]:
    """The platform's plans, by interval, the cheapest first."""
    return [
        Plan(
            price_id=row.id,
            name=row.name,
            description=row.description,
            price=row.unit_price,
            interval=row.interval,
            interval_count=row.interval_count,
            features=row.features,
            highlighted=row.highlighted,
        )
        for row in await queries.prices(connection)
    ]
