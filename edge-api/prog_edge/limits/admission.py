"""Whether a new command may go on: not while its domain is too far behind, and not too many of one tenant at once.

Two marks with a gap between them: a domain whose backlog passed the limit takes new commands again at half of it, so
that the edge does not swing with every sample. What is not known is no reason to refuse.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal

import prometheus_client as prometheus

from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.messages import Command
from prog_contracts.users import EndSession, RefreshSession
from prog_edge.problems import TooMuch
from prog_kit.logging import get

SPARED: Final = (RefreshSession, EndSession)
"""Sent whatever the load: a read must not fail because its session was due for a new token."""

LEAST_RETRY_SECONDS: Final = 1
LONGEST_RETRY_SECONDS: Final = 60
USUAL_RETRY_SECONDS: Final = 5
"""What is told while nobody knows how fast the backlog shrinks."""

Reason = Literal["backlog", "tenant"]

REFUSED: Final = prometheus.Counter(
    "prog_edge_commands_refused_total", "Commands that the edge did not take for their number", ["domain", "reason"]
)
BACKLOG: Final = prometheus.Gauge("prog_edge_backlog", "Commands that wait, as this edge last saw it", ["domain"])
IN_FLIGHT: Final = prometheus.Gauge("prog_edge_commands_in_flight", "Commands whose answer this edge waits for")

_log = get("prog_edge.limits")


@dataclass(frozen=True, slots=True)
class Limits:
    """Commands of one domain that may wait, and commands of one tenant in flight through this edge; 0 is no limit."""

    backlog: int
    tenant_in_flight: int

    @property
    def reopens_at(self) -> int:
        return self.backlog // 2


@dataclass(frozen=True, slots=True)
class Place:
    """The right to send one command. `counted` is who it counts for, None for nobody."""

    counted: str | None


class Admission:
    """The edge's gate. It is told of the backlog now and then; asking it costs a look into two dictionaries."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: dict[str, int] = {}
        self._retry_seconds: dict[str, int] = {}
        self._in_flight: Counter[str] = Counter()

    @contextmanager
    def admit(self, command: Command, tenant_id: str, actor: str | None, *, anyway: bool = False) -> Iterator[Place]:
        """A place for the command while the block runs. `anyway` asks nothing, and counts all the same.

        Raises TooMuch with code `overloaded` when the domain is too far behind, `too_many_in_flight` when the tenant
        has its share.
        """
        key = _counted_as(tenant_id, actor)
        if not anyway and not isinstance(command, SPARED):
            self._ask(command.domain(), key)
        if key is not None:
            self._in_flight[key] += 1
        IN_FLIGHT.inc()
        try:
            yield Place(key)
        finally:
            IN_FLIGHT.dec()
            if key is not None:
                self._leave(key)

    def refuses(self, command: Command, tenant_id: str, actor: str | None) -> bool:
        """Whether `admit` would refuse the command now."""
        key = _counted_as(tenant_id, actor)
        return not isinstance(command, SPARED) and (command.domain() in self._retry_seconds or self._is_full(key))

    def observe(self, waiting: Mapping[str, int], elapsed_seconds: float) -> None:
        """What waits in each domain now, so long after it was told last."""
        for domain, count in waiting.items():
            before = self._waiting.get(domain)
            self._waiting[domain] = count
            BACKLOG.labels(domain).set(count)
            closed = domain in self._retry_seconds
            if self._limits.backlog and count > (self._limits.reopens_at if closed else self._limits.backlog):
                self._retry_seconds[domain] = self._time_to_reopen(count, before, elapsed_seconds)
                if not closed:
                    _log.warning("a domain is too far behind, its commands are refused", domain=domain, waiting=count)
            elif closed:
                del self._retry_seconds[domain]
                _log.info("a domain has caught up, its commands are taken again", domain=domain, waiting=count)

    def forget(self) -> None:
        """Nobody knows what waits: everything is let through."""
        self._waiting.clear()
        self._retry_seconds.clear()
        BACKLOG.clear()

    def _ask(self, domain: str, key: str | None) -> None:
        retry_seconds = self._retry_seconds.get(domain)
        if retry_seconds is not None:
            _refuse(domain, "backlog")
            detail = "The platform has more to do than it can at the moment. Nothing was done; try again later."
            raise TooMuch(detail, code="overloaded", retry_after_seconds=retry_seconds)
        if self._is_full(key):
            _refuse(domain, "tenant")
            detail = f"{self._limits.tenant_in_flight} requests of this tenant are at work. Wait for their answers."
            raise TooMuch(detail, code="too_many_in_flight", retry_after_seconds=LEAST_RETRY_SECONDS)

    def _is_full(self, key: str | None) -> bool:
        limit = self._limits.tenant_in_flight
        return limit > 0 and key is not None and self._in_flight[key] >= limit

    def _leave(self, key: str) -> None:
        self._in_flight[key] -= 1
        if self._in_flight[key] <= 0:
            del self._in_flight[key]

    def _time_to_reopen(self, count: int, before: int | None, elapsed_seconds: float) -> int:
        """When the backlog should be down at the lower mark, at the pace that it had since the last look."""
        if before is None or before <= count or elapsed_seconds <= 0:
            return USUAL_RETRY_SECONDS
        seconds = (count - self._limits.reopens_at) * elapsed_seconds / (before - count)
        return min(max(math.ceil(seconds), LEAST_RETRY_SECONDS), LONGEST_RETRY_SECONDS)


def _counted_as(tenant_id: str, actor: str | None) -> str | None:
    """A tenant counts as a whole. What belongs to no tenant counts for the person; strangers are told apart by nothing
    that holds here, so their number is the rate limits' matter."""
    return actor if tenant_id == PLATFORM_TENANT_ID else tenant_id


def _refuse(domain: str, reason: Reason) -> None:
    REFUSED.labels(domain, reason).inc()
