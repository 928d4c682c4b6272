"""A circuit breaker for a subscription: when most of what it handles fails, it pauses instead of failing on.

A failure storm (a provider that is down, a bad release) would otherwise turn a whole backlog into dead letters. The
states are those of M. Nygard, "Release It!" (2007): closed, open for a while, then half open, when one message is let
through as a probe; its end closes the breaker, or opens it again for twice as long.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from prog_kit import logging
from prog_kit.telemetry import BREAKER_OPEN

log = logging.get("prog_broker.breaker")

State = Literal["closed", "open", "half_open"]

WINDOW: Final = 100
"""Of so many messages that came last, as they were tried first, the failed ones are counted."""
LEAST: Final = 20
"""Fewer messages than this are no storm."""
LONGEST_PAUSE_SECONDS: Final = 60.0


class Breaker:
    """One a consumer group and topic in a process; the shards of the topic share it.

    `ratio` of failures, between 0 and 1, trips it; above 1 it never does. `pause_seconds` is the first pause.
    """

    def __init__(
        self,
        group: str,
        topic: str,
        *,
        ratio: float,
        pause_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._group = group
        self._topic = topic
        self._ratio = ratio
        self._first_pause = pause_seconds
        self._clock = clock
        self._recent: deque[bool] = deque(maxlen=WINDOW)
        self._failures = 0
        self._pause = pause_seconds
        self._open_until: float | None = None
        self._probing = False
        BREAKER_OPEN.labels(topic, group).set(0)

    @property
    def state(self) -> State:
        if self._open_until is None:
            return "closed"
        return "half_open" if self._clock() >= self._open_until else "open"

    def admits(self) -> bool:
        """Whether messages may be handled. While half open it says so once: the next one is the probe."""
        state = self.state
        if state == "closed":
            return True
        if state == "open" or self._probing:
            return False
        self._probing = True
        return True

    def succeeded(self, count: int = 1) -> None:
        """So many messages were handled, or refused by a rule, which is no failure."""
        if self._open_until is not None:
            if self._probing:
                self._close()
            return  # else it was begun before the pause: it tells nothing of now
        for _ in range(min(count, WINDOW)):
            self._note(failed=False)

    def failed(self, *, first_try: bool) -> None:
        """A message was put off, or given up on an unexpected error. Only first tries tell of a storm."""
        if self._open_until is not None:
            if self._probing:
                self._pause = min(self._pause * 2, LONGEST_PAUSE_SECONDS)
                self._open()
            return
        if not first_try:
            return
        self._note(failed=True)
        if len(self._recent) >= LEAST and self._failures >= self._ratio * len(self._recent):
            log.error("most messages fail, the subscription pauses", group=self._group, topic=self._topic,
                      failed=self._failures, of=len(self._recent), seconds=self._pause)  # fmt: skip
            self._open()

    def abandon_probe(self) -> None:
        """The probe was neither handled nor failed, as when a shard is lost: another one may go."""
        self._probing = False

    def _note(self, *, failed: bool) -> None:
        if len(self._recent) == WINDOW:
            self._failures -= self._recent[0]
        self._recent.append(failed)
        self._failures += failed

    def _open(self) -> None:
        self._open_until = self._clock() + self._pause
        self._probing = False
        BREAKER_OPEN.labels(self._topic, self._group).set(1)

    def _close(self) -> None:
        log.info("the subscription goes on", group=self._group, topic=self._topic)
        self._open_until, self._pause, self._probing = None, self._first_pause, False
        self._recent.clear()
        self._failures = 0
        BREAKER_OPEN.labels(self._topic, self._group).set(0)


class Breakers:
    """The breakers of one consumer group, by topic."""

    def __init__(self, group: str, *, ratio: float = 2.0, pause_seconds: float = 1.0) -> None:
        self._group = group
        self._ratio = ratio
        self._pause_seconds = pause_seconds
        self._by_topic: dict[str, Breaker] = {}

    def of(self, topic: str) -> Breaker:
        breaker = self._by_topic.get(topic)
        if breaker is None:
            breaker = Breaker(self._group, topic, ratio=self._ratio, pause_seconds=self._pause_seconds)
            self._by_topic[topic] = breaker
        return breaker
