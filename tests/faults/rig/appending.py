"""A producer of events: appends them to the event log in transactions of its own, as a domain's handlers do.

    python -m tests.faults.rig.appending SEED KEYS RATE

Its sent ledger is a table that is written in the same transaction; a commit whose answer was lost is looked up there.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from typing import Final

import uvloop

import prog_contracts.catalogue  # noqa: F401 - the registry must be whole before the first message
from prog_broker import carrier, sql
from prog_contracts.envelope import wrap
from prog_kit import logging
from prog_kit.database import FAILURES, Database
from prog_kit.settings import Settings
from tests.faults.rig import schema, stacks
from tests.faults.rig.messages import Noted, behaviour_of
from tests.faults.rig.producer import Pace, tenant_of

log = logging.get("faults.appending")

BATCH: Final = 20
LANES: Final = 3
"""Transactions under way at the same time, so that they commit in another order than they began."""

STANDS_AT: Final = "SELECT key, max(sequence) AS sequence FROM faults.appended WHERE key = ANY ($1) GROUP BY key"


class Lane:
    """Some keys, and one transaction at a time."""

    def __init__(self, database: Database, keys: list[str], seed: int, pace: Pace, stopping: asyncio.Event) -> None:
        self._database = database
        self._keys = keys
        self._seed = seed
        self._pace = pace
        self._stopping = stopping
        self._chance = random.Random(f"{seed}/{keys[0]}")

    async def run(self) -> None:
        numbers: dict[str, int] | None = None
        while not self._stopping.is_set():
            try:
                if numbers is None:
                    rows = await self._database.pool.fetch(STANDS_AT, self._keys)
                    numbers = dict.fromkeys(self._keys, 0) | {row["key"]: row["sequence"] for row in rows}
                await self._append(numbers)
            except FAILURES as error:
                log.warning("appending again", error=repr(error))
                numbers = None  # whether it was committed, the table knows
                await asyncio.sleep(0.1)
            await self._pace.turn()

    async def _append(self, numbers: dict[str, int]) -> None:
        events = []
        for key in self._chance.choices(self._keys, k=BATCH):
            numbers[key] += 1
            behaviour = behaviour_of(self._seed, key, numbers[key], of_event=True)
            events.append(Noted(key=key, sequence=numbers[key], behaviour=behaviour))
        envelopes = [wrap(each, tenant_id=tenant_of(each.key), source="/faults") for each in events]
        async with self._database.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                schema.APPEND,
                [envelope.id for envelope in envelopes],
                [each.key for each in events],
                [each.sequence for each in events],
                [each.behaviour for each in events],
            )
            await connection.execute(sql.FINISH, carrier.finishing("users", [], envelopes, []))


async def main() -> None:
    seed, keys, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    settings = Settings.load()
    logging.configure(settings.log_level, settings.process_name)
    stacks.on_request()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    database = await _connected(settings)
    log.info("ready")
    pace, name = Pace(rate / BATCH), os.environ["PROG_PROCESS_NAME"]
    lanes = [
        Lane(database, [f"{name}.{number}" for number in range(lane, keys, LANES)], seed, pace, stopping)
        for lane in range(LANES)
    ]
    await asyncio.gather(*(lane.run() for lane in lanes))
    database.pool.terminate()


async def _connected(settings: Settings) -> Database:
    while True:
        try:
            return await Database.connect(
                settings.database_url, "prog_users", max_size=LANES + 1, idle_in_transaction_seconds=5, answer_seconds=5
            )
        except FAILURES:
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    uvloop.run(main())
