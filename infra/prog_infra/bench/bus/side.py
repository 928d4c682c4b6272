"""What a contestant is, and what it tells of a round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from prog_kit.settings import Settings


@dataclass(frozen=True, slots=True)
class Tally:
    """What a side did in one round."""

    messages: int
    checksum: int
    seconds: float
    cpu_seconds: float = 0.0
    milliseconds: Sequence[float] = ()
    """Of each message, where it is answered."""

    @property
    def rate(self) -> float:
        return self.messages / self.seconds


@dataclass(slots=True)
class Counted:
    """What the handlers have seen; the same few lines on every side."""

    messages: int = 0
    checksum: int = 0
    began: float | None = None
    """When the work began, by the performance counter, where that was after the order."""
    milliseconds: list[float] = field(default_factory=list)

    def add(self, bodies: list[Any]) -> None:
        self.messages += len(bodies)
        self.checksum += sum([each.number for each in bodies])


class Side(Protocol):
    """What is measured, in a process of its own.

    `arm` has it ready to go; `run` returns when so many messages are done and acknowledged, or published, with what it
    counted; `rest` has it touch nothing until the next round.
    """

    as_shipped: ClassVar[bool] = False
    """Whether garbage is collected as Python does by itself, which is how most people run a library."""

    def __init__(self, settings: Settings) -> None: ...

    async def open(self) -> None: ...

    async def arm(self, messages: int) -> None: ...

    async def run(self, messages: int) -> Counted: ...

    async def rest(self) -> None: ...

    async def close(self) -> None: ...
