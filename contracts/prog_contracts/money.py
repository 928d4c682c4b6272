"""Money: an integer of minor units with an ISO 4217 currency."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StrictInt

EXPONENTS: Final[dict[str, int]] = {
    "USD": 2, "EUR": 2, "GBP": 2, "CHF": 2, "SEK": 2, "NOK": 2, "DKK": 2, "PLN": 2, "CAD": 2, "AUD": 2,
    "JPY": 0, "KRW": 0, "ISK": 0, "KWD": 3, "BHD": 3,
}  # fmt: skip
"""Digits after the point by currency (ISO 4217, table A.1)."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class Money(BaseModel):
    """`amount` is in minor units (1999 for 19.99 USD) and never a float."""

    model_config = ConfigDict(frozen=True)

    amount: StrictInt
    currency: Currency

    def __str__(self) -> str:
        """Plain form for logs and terminals, such as `19.99 USD`; pages and mails format by locale."""
        exponent = EXPONENTS.get(self.currency, 2)
        sign = "-" if self.amount < 0 else ""
        whole, fraction = divmod(abs(self.amount), 10**exponent)
        digits = f".{fraction:0{exponent}d}" if exponent else ""
        return f"{sign}{whole}{digits} {self.currency}"
