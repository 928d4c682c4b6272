"""The operator of a run: decides dead letters while everything else goes on.

Letters that were meant to die are dropped, those that were meant to be mended are redriven with a mended body, and
those that nobody meant are redriven as they are and remembered: a fault is no reason to give a message up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg
import orjson

from prog_broker import dead_letters
from prog_contracts.errors import Conflict, NotFound
from prog_kit.database import FAILURES, Database
from tests.faults.rig import messages  # noqa: F401 - a letter is redriven only when its type is known
from tests.faults.rig.stage import GROUPS

OPEN: Final = """
SELECT id, consumer_group, code, reason, data FROM bus.dead_letters WHERE state = 'open' ORDER BY recorded_at LIMIT 200
"""


@dataclass
class Operator:
    """Run `work()` as a task."""

    url: str
    dropped: int = 0
    redriven: int = 0
    unmeant: list[str] = field(default_factory=list)

    async def work(self) -> None:
        while True:
            try:
                await self._shift()
            except FAILURES:
                await asyncio.sleep(0.5)

    async def _shift(self) -> None:
        """Until the database goes away."""
        groups = {group: await Database.connect(self.url, f"prog_{group}", max_size=1) for group in GROUPS}
        reader = await asyncpg.connect(self.url)
        try:
            while True:
                for letter in await reader.fetch(OPEN, timeout=5):
                    await self._decide(groups[letter["consumer_group"]], letter)
                await asyncio.sleep(0.3)
        finally:
            reader.terminate()
            for database in groups.values():
                database.pool.terminate()

    async def _decide(self, group: Database, letter: Any) -> None:
        body = orjson.loads(letter["data"])
        behaviour = body.get("behaviour", "plain")
        try:
            if behaviour == "defect":
                await dead_letters.drop(group, letter["id"], by="faults")
                self.dropped += 1
                return
            if behaviour == "mended":
                mended = orjson.dumps(body | {"behaviour": "plain"})
                await dead_letters.redrive(group, letter["id"], by="faults", body=mended)
                self.redriven += 1
                return
            await dead_letters.redrive(group, letter["id"], by="faults")
        except (Conflict, NotFound):
            return  # the answer to an earlier decision was lost
        what = f"{letter['consumer_group']} {body['key']} #{body['sequence']}"
        self.unmeant.append(f"{what}: a dead letter that nobody meant: {letter['code']}: {letter['reason']}")
