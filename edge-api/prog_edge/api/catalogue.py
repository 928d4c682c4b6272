"""What can be bought: the platform's products and prices. They are public, as the site shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import Field

from prog_contracts.money import Money
from prog_contracts.payments import Interval
from prog_edge.access import Public, Visit
from prog_edge.api.shapes import Listing, Resource
from prog_workers.payments import queries
from prog_workers.payments.queries import PriceView

router = APIRouter(prefix="/v1", tags=["Billing"])

Anybody = Annotated[Visit, Depends(Public(any_origin=True))]


class Price(Resource):
    """`unit_price` is for one period of `interval_count` intervals (and one unit)."""

    id: str = Field(examples=["price_01jd7z4c8nf3ktv9q2m6x0r5we"])
    product_id: str
    name: str
    model: str
    unit_price: Money
    interval: Interval
    interval_count: int
    active: bool


class Product(Resource):
    id: str = Field(examples=["product_01jd7z4c8nf3ktv9q2m6x0r5we"])
    name: str
    description: str
    features: list[str]
    highlighted: bool
    prices: list[Price]


@router.get("/prices")
async def list_prices(visit: Anybody) -> Listing[Price]:
    """The prices on sale: by interval, the cheapest first."""
    return Listing(data=[_price(row) for row in await _on_sale(visit)], next_cursor=None)


@router.get("/products")
async def list_products(visit: Anybody) -> Listing[Product]:
    """The products on sale, each with its prices."""
    by_product: dict[str, list[PriceView]] = {}
    for row in await _on_sale(visit):
        by_product.setdefault(row.product_id, []).append(row)
    products = [
        Product(
            id=product_id,
            name=rows[0].name,
            description=rows[0].description,
            features=list(rows[0].features),
            highlighted=rows[0].highlighted,
            prices=[_price(row) for row in rows],
        )
        for product_id, rows in by_product.items()
    ]
    return Listing(data=products, next_cursor=None)


async def _on_sale(visit: Visit) -> Sequence[PriceView]:
    async with visit.platform.reader.scope() as connection:
        return await queries.prices(connection)


def _price(row: PriceView) -> Price:
    return Price(
        id=row.id,
        product_id=row.product_id,
        name=row.name,
        model=row.model,
        unit_price=row.unit_price,
        interval=row.interval,
        interval_count=row.interval_count,
        active=row.active,
    )
