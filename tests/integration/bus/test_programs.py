"""README's programs, word for word but for the address of a database, as processes of their own."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

from prog_broker.bus.inbox import DDL
from prog_contracts.ids import new_id, new_message_id
from prog_contracts.money import Money
from prog_contracts.payments import InvoiceGenerated
from tests.integration.bus.conftest import Buses, eventually, updated

README = Path(__file__).parents[3] / "README.md"
PROGRAMS = [
    text for text in re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.S) if "Bus(" in text
]
CRM, BOOKKEEPING = PROGRAMS


def invoice(tenant_id: str) -> InvoiceGenerated:
    now, nothing = datetime.now(UTC), Money(amount=0, currency="EUR")
    return InvoiceGenerated(
        invoice_id=new_id("invoice"), number="2026-1", customer_id=new_id("customer"), customer_email="ada@example.com",
        customer_name="Ada", plan="pro", status="open", total=nothing, amount_due=nothing, period_start=now,
        period_end=now, issued_at=now,
    )  # fmt: skip


@asynccontextmanager
async def running(program: str, directory: Path, broker_url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    file = directory / "program.py"
    file.write_text(program)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-u",
        str(file),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PROG_BROKER_URL": broker_url},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_with(process: asyncio.subprocess.Process, word: str) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while True:
            line = (await process.stdout.readline()).decode()
            assert line, "the program has ended"
            if word in line:
                return line.strip()


def test_a_working_consumer_takes_ten_lines() -> None:
    assert len([line for line in CRM.splitlines() if line.strip()]) <= 10


async def test_readme_s_consumer_hears_and_stops_cleanly(valkey_url: str, buses: Buses, tmp_path: Path) -> None:
    bus, event = buses(), updated("Söhne & Töchter")
    await bus.publish(event, tenant_id=event.tenant_id)
    async with running(CRM, tmp_path, valkey_url) as process:
        assert await line_with(process, "is now") == f"{event.tenant_id} is now Söhne & Töchter"
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(60):
            assert await process.wait() == 0


async def test_readme_s_bookkeeper_books_once_however_often_an_invoice_comes(
    valkey_url: str, empty_postgres: str, buses: Buses, tmp_path: Path
) -> None:
    admin = await asyncpg.connect(empty_postgres)
    await admin.execute(DDL)
    await admin.execute("CREATE TABLE bookings (invoice_id text NOT NULL)")
    bus, tenant = buses(), new_id("tenant")
    invoices = [(new_message_id(), invoice(tenant)) for _ in range(20)]
    for _ in range(3):
        for message_id, each in invoices:
            await bus.publish(each, tenant_id=tenant, message_id=message_id)
    program = BOOKKEEPING.replace("postgresql://localhost/bookkeeping", empty_postgres)
    async with running(program, tmp_path, valkey_url) as process:

        async def booked() -> bool:
            return bool(await admin.fetchval("SELECT count(*) FROM bookings") == len(invoices))

        await eventually(booked)
        last = invoice(tenant)
        await bus.publish(last, tenant_id=tenant)
        await eventually(lambda: admin.fetchval("SELECT true FROM bookings WHERE invoice_id = $1", last.invoice_id))
        assert process.returncode is None
    assert await admin.fetchval("SELECT count(*) FROM bookings") == len(invoices) + 1
    await admin.close()
