"""What the operator is told when something cannot start or run: one line, and what to do about it.

Raised anywhere below the command line and printed there once, without a traceback (`prog_infra.cli`).
"""

from collections.abc import Sequence
from typing import Self

_DASH = " - "


class OperatorError(Exception):
    """A condition that the operator can mend.

    `message` says what is wrong in one line; `remedy` says what to do; `details` are the single things that are wrong,
    a line each, where there may be several. Never holds a secret.
    """

    def __init__(self, message: str, *, remedy: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = tuple(details)

    def __str__(self) -> str:
        told = f": {'; '.join(self.details)}" if self.details else ""
        return f"{self.message}{told}{_DASH}{self.remedy}"

    @classmethod
    def from_line(cls, line: str, *, remedy: str) -> Self:
        """The error that another process told in its last line; `remedy` where that line names none."""
        message, _, told = line.removeprefix("prog: ").partition(_DASH)
        return cls(message, remedy=told or remedy)
