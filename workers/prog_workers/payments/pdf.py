"""An invoice as a PDF: one look, the same bytes for the same invoice for ever.

It shows only what is final, so no date of making, no state of payment and no file id of chance are in it. The core font
Helvetica is part of every PDF reader and knows Windows-1252, the letters of Western Europe; of other Latin letters the
accents are dropped, and what has no likeness at all is shown as a question mark.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from fpdf import FPDF

from prog_contracts.money import EXPONENTS, Money

Colour = tuple[int, int, int]
INK: Final[Colour] = (26, 27, 31)
QUIET: Final[Colour] = (110, 111, 118)
RULE: Final[Colour] = (226, 225, 220)
PAPER: Final[Colour] = (248, 248, 246)
BLUE: Final[Colour] = (142, 166, 255)
AMBER: Final[Colour] = (229, 176, 90)
TEAL: Final[Colour] = (79, 201, 189)

MARGIN: Final = 20.0
RIGHT: Final = 190.0
BOTTOM: Final = 262.0
"""Millimetres on A4: left and right edges, and where a table goes on to the next page."""

_LIKENESSES: Final = str.maketrans(
    {"ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ħ": "h", "ı": "i", "ŋ": "n", "ĸ": "k", "ŧ": "t", "−": "-", "\u00a0": " "}
)
_SYMBOLS: Final = {"USD": "$", "EUR": "€", "GBP": "£", "JPY": "¥"}


@dataclass(frozen=True, slots=True)
class Seller:
    """Who bills."""

    name: str = "ProgNetwork"
    details: Sequence[str] = ("The backbone of your product", "billing@prognetwork.example")


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """What was sold for [start, end). `unit_price` times `quantity` is `amount`."""

    description: str
    start: datetime
    end: datetime
    quantity: int
    unit_price: Money
    amount: Money


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    number: str
    issued_at: datetime
    company: str
    name: str
    email: str
    total: Money
    lines: Sequence[DocumentLine]
    seller: Seller = Seller()


def render(document: InvoiceDocument) -> bytes:
    """The PDF. Equal documents give equal bytes."""
    page = _Page(document)
    page.add_page()
    _head(page, document)
    below = _parties(page, document)
    below = _amount_due(page, document, below)
    below = _table(page, document, below)
    _totals(page, document, below)
    _feet(page, document)
    return bytes(page.output())


def price_text(money: Money) -> str:
    """`$1,234.50`, or `1,234.50 CHF` for a currency without a sign of its own."""
    exponent = EXPONENTS.get(money.currency, 2)
    whole, fraction = divmod(abs(money.amount), 10**exponent)
    digits = f"{whole:,}" + (f".{fraction:0{exponent}d}" if exponent else "")
    sign = "-" if money.amount < 0 else ""
    symbol = _SYMBOLS.get(money.currency)
    return f"{sign}{symbol}{digits}" if symbol else f"{sign}{digits} {money.currency}"


def date_text(instant: datetime) -> str:
    """`31 January 2027`, in UTC and in English whatever the machine's language."""
    months = (
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    )  # fmt: skip
    return f"{instant.day} {months[instant.month - 1]} {instant.year}"


def printable(text: str) -> str:
    """The nearest text that the core fonts can show."""
    return "".join(_nearest(letter) for letter in text.translate(_LIKENESSES))


def _nearest(letter: str) -> str:
    if not letter.isprintable():
        return " " if letter.isspace() else ""
    for candidate in (letter, unicodedata.normalize("NFKD", letter)):
        plain = "".join(part for part in candidate if not unicodedata.combining(part))
        try:
            plain.encode("windows-1252")
        except UnicodeEncodeError:
            continue
        return plain
    return "?"


class _Page(FPDF):
    """A4, with nothing in the file of the moment of its making."""

    def __init__(self, document: InvoiceDocument) -> None:
        super().__init__(format="A4", unit="mm")
        self.document = document
        self.core_fonts_encoding = "windows-1252"
        self.set_margins(MARGIN, MARGIN, MARGIN)
        self.set_auto_page_break(False)
        self.set_creation_date(document.issued_at)
        self.set_title(printable(f"Invoice {document.number}"))
        self.set_author(printable(document.seller.name))
        self.set_producer("ProgNetwork")
        self.set_lang("en")
        self.c_margin = 0.0

    def file_id(self) -> str:
        """The trailer's identifiers: fpdf2 would make them from the content and the time of making."""
        value = self.document.number.encode().hex().upper()
        return f"<{value}><{value}>"

    def put(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 10,
        bold: bool = False,
        colour: Colour = INK,
        width: float | None = None,
        align: Literal["L", "R"] = "L",
    ) -> None:
        """One line of text whose box begins at (x, y); what is too long for it is cut."""
        self._style(size, bold=bold, colour=colour)
        room = width if width is not None else RIGHT - x
        text = printable(text)
        while len(text) > 1 and self.get_string_width(text) > room:
            text = text[:-2].rstrip() + "…"
        self.set_xy(x, y)
        self.cell(room, size * 0.45, text, align=align)

    def put_wrapped(self, x: float, y: float, text: str, *, width: float, size: float = 10) -> float:
        """Bold text on as many lines as it needs, three at most; returns where the last one begins."""
        self._style(size, bold=True, colour=INK)
        lines = self._wrapped(printable(text), width)
        for row, line in enumerate(lines):
            self.put(x, y + row * size * 0.48, line, size=size, bold=True, width=width)
        return y + (len(lines) - 1) * size * 0.48

    def _wrapped(self, text: str, width: float, most: int = 3) -> list[str]:
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and len(lines) < most and self.get_string_width(longer) > width:
                lines.append(word)
            else:
                lines[-1] = longer
        return lines

    def _style(self, size: float, *, bold: bool, colour: Colour) -> None:
        self.set_font("helvetica", "B" if bold else "", size)
        self.set_text_color(*colour)


def _head(page: _Page, document: InvoiceDocument) -> None:
    _mark(page, MARGIN, 20)
    page.put(MARGIN + 14, 20.6, document.seller.name, size=15, bold=True)
    page.put(MARGIN + 14, 27, document.seller.details[0], size=8.5, colour=QUIET)
    page.put(MARGIN, 20, "Invoice", size=22, bold=True, width=RIGHT - MARGIN, align="R")
    page.put(MARGIN, 30, document.number, size=10, colour=QUIET, width=RIGHT - MARGIN, align="R")


def _mark(page: _Page, x: float, y: float) -> None:
    """The product's sign: a branch of a story, three dots on a line."""
    page.set_fill_color(*INK)
    page.rect(x, y, 11, 11, style="F", round_corners=True, corner_radius=2.6)
    page.set_draw_color(255, 255, 255)
    page.set_line_width(0.7)
    page.line(x + 3.4, y + 2.6, x + 3.4, y + 8.4)
    page.line(x + 3.4, y + 5.5, x + 5.6, y + 5.5)
    page.line(x + 5.6, y + 5.5, x + 7.2, y + 3.4)
    for dot_x, dot_y, colour in ((3.4, 2.6, BLUE), (3.4, 8.4, AMBER), (7.3, 3.3, TEAL)):
        page.set_fill_color(*colour)
        page.circle(x + dot_x, y + dot_y, 1.05, style="F")
    page.set_line_width(0.2)


def _parties(page: _Page, document: InvoiceDocument) -> float:
    """Who buys, who sells and when; returns where the next part begins."""
    top = 46.0
    page.put(MARGIN, top, "Billed to", size=8.5, colour=QUIET, width=70)
    last = page.put_wrapped(MARGIN, top + 5.5, document.company, size=11, width=80)
    page.put(MARGIN, last + 5.5, document.name, width=80)
    page.put(MARGIN, last + 10.5, document.email, width=80, colour=QUIET)
    page.put(108, top, "From", size=8.5, colour=QUIET, width=40)
    page.put(108, top + 5.5, document.seller.name, size=11, bold=True, width=44)
    for row, detail in enumerate(document.seller.details[1:]):
        page.put(108, top + 11 + 5 * row, detail, width=50, colour=QUIET)
    page.put(160, top, "Date of issue", size=8.5, colour=QUIET, width=30, align="R")
    page.put(150, top + 5.5, date_text(document.issued_at), width=40, align="R")
    return last + 23


def _amount_due(page: _Page, document: InvoiceDocument, top: float) -> float:
    """The panel that says what is to be paid; returns where the next part begins."""
    page.set_fill_color(*PAPER)
    page.rect(MARGIN, top, RIGHT - MARGIN, 22, style="F", round_corners=True, corner_radius=2.5)
    total = price_text(document.total)
    currency = document.total.currency
    page.put(MARGIN + 6, top + 4.5, "Amount due", size=8.5, colour=QUIET, width=60)
    text = total if total.endswith(currency) else f"{total} {currency}"
    page.put(MARGIN + 6, top + 10, text, size=17, bold=True, width=100)
    edge = RIGHT - MARGIN - 6
    page.put(MARGIN, top + 6, f"Due {date_text(document.issued_at)}", width=edge, align="R")
    how = "Charged to the card on file" if document.total.amount else "Nothing to pay"
    page.put(MARGIN, top + 12, how, size=8.5, colour=QUIET, width=edge, align="R")
    return top + 34


def _table(page: _Page, document: InvoiceDocument, top: float) -> float:
    """The lines, with the head again on every page; returns where the next part begins."""
    y = _table_head(page, top)
    for line in document.lines:
        if y > BOTTOM - 14:
            page.add_page()
            y = _table_head(page, 24)
        last = page.put_wrapped(MARGIN, y, line.description, width=86)
        days = f"{date_text(line.start)} to {date_text(line.end)}"
        page.put(MARGIN, last + 5, days, size=8.5, colour=QUIET, width=86)
        page.put(108, y, f"{line.quantity:,}", width=17, align="R")
        page.put(125, y, price_text(line.unit_price), width=33, align="R")
        page.put(158, y, price_text(line.amount), width=32, align="R")
        y = last + 14
        page.set_draw_color(*RULE)
        page.line(MARGIN, y - 3, RIGHT, y - 3)
    return y


def _table_head(page: _Page, y: float) -> float:
    for x, width, text, align in _COLUMNS:
        page.put(x, y, text, size=8.5, colour=QUIET, width=width, align=align)
    page.set_draw_color(*INK)
    page.line(MARGIN, y + 6, RIGHT, y + 6)
    return y + 10


_COLUMNS: Final[tuple[tuple[float, float, str, Literal["L", "R"]], ...]] = (
    (MARGIN, 88, "Description", "L"),
    (108, 17, "Quantity", "R"),
    (125, 33, "Unit price", "R"),
    (158, 32, "Amount", "R"),
)


def _totals(page: _Page, document: InvoiceDocument, top: float) -> None:
    y = top + 2
    if y > BOTTOM - 26:
        page.add_page()
        y = 24
    total = price_text(document.total)
    page.put(115, y, "Subtotal", colour=QUIET, width=30)
    page.put(145, y, total, width=45, align="R")
    page.set_draw_color(*INK)
    page.line(115, y + 8, RIGHT, y + 8)
    page.put(115, y + 11, "Amount due", bold=True, width=30)
    page.put(145, y + 11, total, bold=True, width=45, align="R")
    question = f"Questions about this invoice? Write to {document.seller.details[-1]} and name {document.number}."
    page.put(MARGIN, y + 30, question, size=8.5, colour=QUIET)


def _feet(page: _Page, document: InvoiceDocument) -> None:
    """The foot of every page, once it is known how many there are."""
    seller = document.seller
    for number in range(1, page.pages_count + 1):
        page.page = number
        page.set_draw_color(*RULE)
        page.line(MARGIN, 278, RIGHT, 278)
        page.put(MARGIN, 281, f"{seller.name}  ·  {seller.details[-1]}", size=8, colour=QUIET)
        place = f"Invoice {document.number}  ·  Page {number} of {page.pages_count}"
        page.put(MARGIN, 281, place, size=8, colour=QUIET, align="R")
