from __future__ import annotations

import re
import zlib
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.money import Money
from prog_workers.payments.pdf import DocumentLine, InvoiceDocument, date_text, price_text, printable, render

ISSUED = datetime(2027, 2, 28, 9, 30, tzinfo=UTC)
LINE = DocumentLine(
    description="Starter",
    start=ISSUED,
    end=datetime(2027, 3, 31, 9, 30, tzinfo=UTC),
    quantity=1,
    unit_price=Money(amount=2900, currency="USD"),
    amount=Money(amount=2900, currency="USD"),
)
DOCUMENT = InvoiceDocument(
    number="R5WEK2QF-0002",
    issued_at=ISSUED,
    company="Acme Ltd",
    name="Ada Lovelace",
    email="ada@acme.example",
    total=Money(amount=2900, currency="USD"),
    lines=[LINE],
)


def page_count(pdf: bytes) -> int:
    return len(re.findall(rb"/Type /Page\b", pdf))


def shown(pdf: bytes) -> str:
    """The text that the pages show."""
    streams = [zlib.decompress(body) for body in re.findall(rb"stream\n(.*?)\nendstream", pdf, re.DOTALL)]
    texts = re.findall(rb"\((.*?)\) Tj", b"\n".join(streams))
    return "\n".join(text.decode("windows-1252").replace("\\", "") for text in texts)


def test_the_same_invoice_has_the_same_bytes_and_only_its_own_date() -> None:
    first = render(DOCUMENT)
    assert render(DOCUMENT) == first
    assert set(re.findall(rb"D:(\d{14})", first)) == {b"20270228093000"}


def test_the_page_says_who_pays_whom_how_much_for_what() -> None:
    text = shown(render(DOCUMENT))
    for part in ("ProgNetwork", "Acme Ltd", "ada@acme.example", "R5WEK2QF-0002", "Starter", "$29.00 USD",
                 "28 February 2027 to 31 March 2027", "Page 1 of 1"):  # fmt: skip
        assert part in text


def test_many_lines_go_on_to_further_pages_which_are_counted() -> None:
    pdf = render(replace(DOCUMENT, lines=[LINE] * 40))
    assert page_count(pdf) > 2
    assert f"Page {page_count(pdf)} of {page_count(pdf)}" in shown(pdf)
    assert shown(pdf).count("Starter") == 40


def test_a_long_company_name_is_wrapped_and_not_cut() -> None:
    name = "Gesellschaft für die Herstellung von sehr langen Namen und anderen Dingen mbH"
    text = shown(render(replace(DOCUMENT, company=name)))
    assert "".join(name.split()) in "".join(text.split())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Société Générale “AG” – 5 €", "Société Générale “AG” – 5 €"),
        ("Łódź Ščerba Đặng", "Lódz Šcerba Dang"),
        ("株式会社", "????"),
        ("tab\there\u200b\x00", "tab here"),
        ("ﬁne №5", "fine No5"),
    ],
)
def test_letters_beyond_western_europe_become_their_nearest_likeness(text: str, expected: str) -> None:
    assert printable(text) == expected


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_breaks_the_document(company: str, description: str) -> None:
    printable(company).encode("windows-1252")
    pdf = render(replace(DOCUMENT, company=company, lines=[replace(LINE, description=description)]))
    assert page_count(pdf) == 1


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (123456, "USD", "$1,234.56"),
        (5, "EUR", "€0.05"),
        (1000, "JPY", "¥1,000"),
        (5124, "KWD", "5.124 KWD"),
        (-2900, "CHF", "-29.00 CHF"),
    ],
)
def test_prices_are_written_with_the_digits_of_their_currency(amount: int, currency: str, expected: str) -> None:
    assert price_text(Money(amount=amount, currency=currency)) == expected


def test_dates_are_english_whatever_the_machine_speaks() -> None:
    assert date_text(ISSUED) == "28 February 2027"
