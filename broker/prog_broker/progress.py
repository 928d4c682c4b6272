"""How far the relay is, as the note tells it that stands in the broker beside what was published."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

Cursor: TypeAlias = tuple[str, int]
"""Transaction id (as text, for it is 64 bits without a sign) and position of the last row that was published."""
NOWHERE: Final[Cursor] = ("0", 0)


@dataclass(frozen=True, slots=True)
class Note:
    """What the broker holds: the event log up to `cursor`, and so many batches of stored commands.

    Every publication moves one of the two, so a broker that comes back without its latest writes has an older note.
    """

    cursor: Cursor = NOWHERE
    commands: int = 0

    @classmethod
    def parse(cls, text: str) -> Note:
        """Reads also what earlier versions wrote, which counted no commands."""
        txid, position, *commands = text.split(":")
        return cls((txid, int(position)), int(commands[0]) if commands else 0)

    def __str__(self) -> str:
        return f"{self.cursor[0]}:{self.cursor[1]}:{self.commands}"

    def reaches(self, cursor: Cursor) -> bool:
        return (int(self.cursor[0]), self.cursor[1]) >= (int(cursor[0]), cursor[1])
