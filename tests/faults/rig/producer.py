"""A producer of commands: sends as the edge does, waits for the answer, and never sends a key's next message before
the one before was accepted.

    python -m tests.faults.rig.producer NOTEBOOK SEED KEYS RATE

What was not accepted it sends again under the same id. The order of commands that are answered with "pending" holds
within one process alone, so after a restart it first waits until what it sent before is handled. On SIGTERM it finishes
what is under way and ends.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Final
from uuid import UUID

import uvloop

from prog_broker.client import CommandClient
from prog_broker.redis.connection import connect
from prog_broker.transport import open_transport
from prog_contracts.errors import Unavailable
from prog_contracts.ids import encode_id, new_message_id
from prog_kit import logging
from prog_kit.database import FAILURES, Database
from prog_kit.secrets import Sealer
from prog_kit.settings import Settings
from tests.faults.rig import notebook, stacks
from tests.faults.rig.ledger import COMMANDS
from tests.faults.rig.messages import Charge, Move, behaviour_of
from tests.faults.rig.notebook import Note, Notebook

log = logging.get("faults.producer")

WAITS_SECONDS: Final = ((0.03, 0.0), (0.06, 0.05), (1.0, 1.0))
"""How long a command waits for its answer: some not at all, some for so little that the outbox must take them."""


class Pace:
    """At most so many a second, over all keys."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate
        self._next = 0.0

    async def turn(self) -> None:
        now = time.monotonic()
        self._next = max(self._next + self._gap, now)
        await asyncio.sleep(self._next - now)


class Producer:
    """One process: its keys in parallel, each key's messages one after the other."""

    def __init__(self, path: Path, name: str, seed: int, keys: int, rate: float, client: CommandClient) -> None:
        self.stopping = asyncio.Event()
        self._seed = seed
        self._client = client
        self._pace = Pace(rate)
        self._last: dict[str, Note] = {f"{name}.{number}": Note("", "", 0, "", 0.0, "never") for number in range(keys)}
        self._promised: dict[str, Note] = {}
        for note in notebook.read(path).values():
            self._last[note.key] = note
            if note.accepted == "pending":
                self._promised[note.key] = note
        self._notebook = Notebook(path)

    async def run(self) -> None:
        await asyncio.gather(*(self._drive(key) for key in self._last))

    async def _drive(self, key: str) -> None:
        note = self._last[key]
        if key in self._promised:
            await self._handled(self._promised[key])
        while True:
            if note.accepted is None:
                await self._deliver(note)
            if self.stopping.is_set():
                return
            await self._pace.turn()
            if self.stopping.is_set():
                return
            note = self._next(key, note.sequence + 1)
            await self._notebook.note(id=note.id, key=key, sequence=note.sequence, behaviour=note.behaviour, at=note.at)

    def _next(self, key: str, sequence: int) -> Note:
        return Note(str(new_message_id()), key, sequence, behaviour_of(self._seed, key, sequence), time.time())

    async def _handled(self, note: Note) -> None:
        """Returns when a command of an earlier life is handled."""
        while True:
            with suppress(*FAILURES):
                if await self._client.stored_answer(COMMANDS, UUID(note.id), tenant_of(note.key)) is not None:
                    return
            await asyncio.sleep(0.1)

    async def _deliver(self, note: Note) -> None:
        """Until it is accepted, however often that takes."""
        model = Charge if note.behaviour == "charge" else Move
        command = model.model_validate({"key": note.key, "sequence": note.sequence, "behaviour": note.behaviour})
        chance = random.Random(f"{self._seed}/wait/{note.key}/{note.sequence}").random()
        wait_seconds = next(seconds for share, seconds in WAITS_SECONDS if chance < share)
        while True:
            try:
                answer = await self._client.request(
                    command, tenant_id=tenant_of(note.key), message_id=UUID(note.id), wait_seconds=wait_seconds
                )
            except Unavailable:
                await asyncio.sleep(0.1)
                continue
            note.accepted = answer.status
            await self._notebook.note(id=note.id, accepted=answer.status)
            return


def tenant_of(key: str) -> str:
    """A tenant for a handful of keys, so that one batch spans several."""
    return encode_id("tenant", UUID(int=1000 + sum(key.encode()) % 7))


async def main() -> None:
    path, seed, keys, rate = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
    settings = Settings.load()
    logging.configure(settings.log_level, settings.process_name)
    stacks.on_request()
    redis, transport = connect(settings.signals_url), open_transport(settings)
    database = await _connected(settings)
    async with CommandClient(redis, database, Sealer(settings.secret_keys), publisher=transport.publisher) as client:
        producer = Producer(path, settings.process_name, seed, keys, rate, client)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, producer.stopping.set)
        log.info("ready")
        await producer.run()
    database.pool.terminate()
    await transport.close()
    await redis.aclose()


async def _connected(settings: Settings) -> Database:
    while True:
        try:
            return await Database.connect(settings.database_url, "prog_edge", max_size=8, answer_seconds=5)
        except FAILURES:
            await asyncio.sleep(0.2)


if __name__ == "__main__":
    uvloop.run(main())
