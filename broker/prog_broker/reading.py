"""How a shard is read, the same for every broker: while its lease is ours, from the position of its group, one batch
ahead of the one at work.

An adapter derives its FastStream subscriber from `ShardReader` and says how to find the position and how to read.
Reading takes nothing from the broker. So a reader that was paused and has lost its lease can hold nothing back from the
new owner, and who takes a shard over begins where the last commit was kept.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from prog_broker.redis.connection import reconnect_delay_seconds
from prog_kit import logging
from prog_kit.tasks import cancelled

if TYPE_CHECKING:
    from prog_broker.intake import Intake
    from prog_broker.leases import OwnedShard
    from prog_broker.ports import Deliver, Delivery

BLOCK_SECONDS: Final = 2.0
"""How long a read waits for the first message before it looks around."""
TELL_SECONDS: Final = 0.2
"""How long the broker may not know that messages were passed by: most events mean nothing to most groups, and telling
of each would cost as much as handling it."""

log = logging.get("prog_broker.reading")


class ShardReader:
    """A mixin over a FastStream subscriber; see the module's docstring."""

    owned: OwnedShard
    intake: Intake
    deliver: Deliver
    linger_seconds: float
    read_outages: tuple[type[BaseException], ...]
    running: bool
    _more_waits = False
    _tell_at = 0.0

    @abstractmethod
    async def begin(self) -> None:
        """Finds the position of the group, making the group at the beginning when it is missing."""

    @abstractmethod
    async def read(self, count: int, *, wait_seconds: float) -> list[Delivery]:
        """Up to `count` messages after what was read last; waits so long for the first one."""

    def end(self) -> None:
        """Reading ends: the lease is gone, or begins anew."""

    @abstractmethod
    async def hand_over(self, work: asyncio.Task[None]) -> None:
        """Gives FastStream the batch at work, which calls the handler; the handler waits for its end."""

    async def consume_while_owned(self) -> None:
        """Reads whenever the lease is ours, through outages of the broker, until the subscriber stops.

        What else a broker answers (no right, a disk that is full, a key of another kind) is waited out too, and told:
        FastStream would begin again at once, without end and without a word.
        """
        failures = 0
        while self.running:
            await self.owned.gained.wait()
            try:
                await self._serve()
                failures = 0
                continue
            except self.read_outages as error:
                failures += 1
                if failures == 1:
                    log.warning("broker does not answer", shard=self.owned.shard.name, error=str(error))
            except Exception:
                failures += 1
                if failures == 1:
                    log.exception("shard cannot be read", shard=self.owned.shard.name)
            await asyncio.sleep(reconnect_delay_seconds(failures))

    async def _serve(self) -> None:
        """Reads until the lease is lost or the subscriber stops."""
        token = self.owned.token
        self.owned.lost_place = False
        self.intake.clear()
        filling: asyncio.Task[None] | None = None
        try:
            await self.begin()
            while self._may_read(token):
                if filling is not None and (filling.done() or not len(self.intake)):
                    await filling  # raises what ended it
                    filling = None
                elif not len(self.intake):
                    patience_seconds = self._patience_seconds()
                    if patience_seconds > 0:
                        await self._read_into_intake(token, patience_seconds)
                    else:
                        await self.deliver(self.intake)  # a batch of nothing, which tells the position
                else:
                    if filling is None and self._more_waits:
                        filling = asyncio.create_task(self._fill(token))
                    await self._work()
        finally:
            self.end()
            if filling is not None:
                filling.cancel()
                with suppress(asyncio.CancelledError, *self.read_outages):
                    await filling

    async def _work(self) -> None:
        """One batch. It is begun before FastStream has it, so that its way there is gone while the database answers."""
        work = asyncio.ensure_future(self.deliver(self.intake))
        try:
            await asyncio.sleep(0)  # the first statement goes out
            await self.hand_over(work)
            if not work.done():
                await work  # FastStream stops and calls no handler any more
        finally:
            await cancelled([work])

    async def _read_into_intake(self, token: int, patience_seconds: float) -> None:
        """Waits for messages. Whoever sent a single one waits for it: there is no task in between."""
        room = self.intake.room
        entries = await self.read(room, wait_seconds=patience_seconds)
        if entries and self.linger_seconds and len(entries) < room:
            await asyncio.sleep(self.linger_seconds)
            entries += await self.read(room - len(entries), wait_seconds=0)
        self._more_waits = len(entries) >= room
        if self._may_read(token):
            self.intake.add(entries)
            had_untold = self.intake.has_untold
            if self.intake.pass_by() and not had_untold:
                self._tell_at = asyncio.get_running_loop().time() + TELL_SECONDS

    def _patience_seconds(self) -> float:
        """How long to wait for messages; 0 or less when there is a position to tell first."""
        if not self.intake.has_untold:
            return BLOCK_SECONDS
        return self._tell_at - asyncio.get_running_loop().time()

    async def _fill(self, token: int) -> None:
        """Reads ahead, beside the batch at work, as far as there is room and something waits; readies the next."""
        while self._more_waits and self._may_read(token) and (room := self.intake.room):
            entries = await self.read(room, wait_seconds=0)
            self._more_waits = len(entries) >= room
            if self._may_read(token):
                self.intake.add(entries)
        if self._may_read(token):
            self.intake.make_ready()

    def _may_read(self, token: int) -> bool:
        owned = self.owned
        return self.running and owned.gained.is_set() and owned.token == token and not owned.lost_place


async def at_work(work: asyncio.Task[None]) -> None:
    """The handler that FastStream calls for every batch."""
    await work


def never_logged(reader: Any) -> dict[str, str]:
    """What FastStream would log of a batch; its own way copies the subscription for every one."""
    return {"channel": reader.owned.shard.name, "message_id": ""}
