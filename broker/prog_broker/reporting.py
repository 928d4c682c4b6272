"""What consumers tell the monitoring domain about themselves: about once a second, one message a group.

Reports go straight to the broker, not through the event log: a lost one costs a second of a chart and no truth.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Literal, Protocol

from prog_broker.ports import Publisher
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.monitoring import HandlerSample, RecordConsumption
from prog_contracts.topics import topic_of

ReportedOutcome = Literal["succeeded", "refused", "retried", "dead", "duplicate"]
MAX_SAMPLES = 5_000
"""A process, between two reports; what comes beyond is not told: a report stays small under any load."""


class Report(Protocol):
    def add(
        self, group: str, envelopes: Sequence[Envelope], outcome: ReportedOutcome, handler_microseconds: int
    ) -> None:
        """Messages of one type that ended alike; the time is each one's."""
        ...


class NoReport:
    """For tests and tools."""

    def add(
        self, group: str, envelopes: Sequence[Envelope], outcome: ReportedOutcome, handler_microseconds: int
    ) -> None:
        return None


class ConsumptionReport:
    """Collects samples until the next flush."""

    def __init__(self, publisher: Publisher, process: str) -> None:
        self._publisher = publisher
        self._process = process
        self._samples: dict[tuple[str, str, ReportedOutcome], list[tuple[float, int, int]]] = defaultdict(list)
        self._count = 0

    def add(
        self, group: str, envelopes: Sequence[Envelope], outcome: ReportedOutcome, handler_microseconds: int
    ) -> None:
        type_name = envelopes[0].type
        room = MAX_SAMPLES - self._count
        if type_name == RecordConsumption.TYPE or room <= 0:
            return
        now = time.time()
        now_microseconds = int(now * 1e6)
        told = envelopes if len(envelopes) <= room else envelopes[:room]
        self._count += len(told)
        self._samples[group, type_name, outcome] += [
            # UUIDv7 begins with Unix milliseconds (RFC 9562, 5.7)
            (now, handler_microseconds, max(0, now_microseconds - (envelope.id.int >> 80) * 1000))
            for envelope in told
        ]

    async def flush(self) -> None:
        """Publishes what was collected, one command a group. Raises Unavailable when the broker is away."""
        collected, self._samples, self._count = self._samples, defaultdict(list), 0
        groups: dict[str, list[HandlerSample]] = defaultdict(list)
        for (group, type_name, outcome), rows in collected.items():
            at, handler, end_to_end = zip(*rows, strict=True)
            groups[group].append(
                HandlerSample(
                    type=type_name,
                    outcome=outcome,
                    at_seconds=at,
                    handler_microseconds=handler,
                    end_to_end_microseconds=end_to_end,
                )
            )
        commands = [
            RecordConsumption(process=self._process, group=group, samples=tuple(samples))
            for group, samples in groups.items()
        ]
        if commands:
            source = f"/prognetwork/{self._process}"
            await self._publisher.send(
                [(topic_of(c), wrap(c, tenant_id=PLATFORM_TENANT_ID, source=source)) for c in commands]
            )
