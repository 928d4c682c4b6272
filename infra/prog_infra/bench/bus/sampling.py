"""A profile by sampling: once a millisecond of processor time, which line is at work?

What C code takes is counted for the line that calls it. Unlike a tracing profiler it costs calls of small functions no
more than others, so the shares are true.
"""

from __future__ import annotations

import signal
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath
from types import FrameType
from typing import Any, Final

INTERVAL_SECONDS: Final = 0.001
DEPTH: Final = 40


@dataclass(slots=True)
class Sampler:
    """Start and stop it in the main thread."""

    lines: Counter[str] = field(default_factory=Counter)
    functions: Counter[str] = field(default_factory=Counter)
    samples: int = 0

    def start(self) -> None:
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_SECONDS, INTERVAL_SECONDS)

    def stop(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)

    def report(self, messages: int, cpu_seconds: float, *, top: int = 25) -> dict[str, Any]:
        """Microseconds a message, by the line that was at work and by function with all that it calls."""
        whole = cpu_seconds * 1e6 / max(messages, 1)
        share = whole / max(self.samples, 1)
        return {
            "microseconds": round(whole, 2),
            "samples": self.samples,
            "lines": [(name, round(count * share, 2)) for name, count in self.lines.most_common(top)],
            "functions": [(name, round(count * share, 2)) for name, count in self.functions.most_common(top)],
        }

    def _sample(self, _: int, frame: FrameType | None) -> None:
        self.samples += 1
        if frame is not None:
            self.lines[f"{_place(frame)}:{frame.f_lineno}"] += 1
        seen: set[str] = set()
        for _depth in range(DEPTH):
            if frame is None:
                break
            seen.add(_place(frame))
            frame = frame.f_back
        self.functions.update(seen)


def _place(frame: FrameType) -> str:
    path = PurePath(frame.f_code.co_filename)
    return f"{'/'.join(path.parts[-2:])} {frame.f_code.co_qualname}"
