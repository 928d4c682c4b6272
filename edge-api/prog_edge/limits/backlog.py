"""Looks every second what waits in the broker's commands topics, and tells the gate. No request waits for it."""

from __future__ import annotations

import asyncio
from collections import Counter
from time import monotonic
from typing import Final

from prog_broker.ports import Outages, Transport
from prog_contracts.topics import TOPICS
from prog_edge.limits.admission import Admission
from prog_kit.logging import get
from prog_kit.tasks import cancelled

PERIOD_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 10.0
"""A broker that takes longer to tell what waits is taken to tell nothing."""

READERS: Final = {topic.name: topic.consumers for topic in TOPICS.values() if topic.kind == "commands"}

_log = get("prog_edge.limits")


class BacklogWatch:
    """`start` looks until `close`; `look` is one round."""

    def __init__(self, transport: Transport, admission: Admission) -> None:
        self._transport = transport
        self._admission = admission
        self._silence: Outages = (TimeoutError, *transport.outages)
        self._looked_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)

    async def close(self) -> None:
        if self._task is not None:
            await cancelled([self._task])

    async def look(self) -> None:
        """One sample. While the broker does not answer, nothing is known."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                lags = await self._transport.lags(READERS)
        except self._silence as error:
            if self._looked_at is not None:
                _log.warning("the backlog is not known, commands are let through", error=repr(error))
            self._looked_at = None
            self._admission.forget()
            return
        waiting = Counter({topic.domain: 0 for topic in TOPICS.values() if topic.kind == "commands"})
        for lag in lags:
            waiting[TOPICS[lag.topic].domain] += lag.lag
        now = monotonic()
        self._admission.observe(waiting, 0.0 if self._looked_at is None else now - self._looked_at)
        self._looked_at = now

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(PERIOD_SECONDS)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Without a watch nothing is known, whatever ended it."""
        self._admission.forget()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            _log.error("nobody looks at the backlog any more, commands are let through", exc_info=error)
