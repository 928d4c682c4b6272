"""The Prefer header (RFC 7240): how long a client is willing to wait for a write."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

DEFAULT_WAIT_SECONDS: Final = 5.0
LONGEST_WAIT_SECONDS: Final = 30.0
_WAIT: Final = re.compile(r"^wait\s*=\s*\"?(\d{1,4})\"?$")


@dataclass(frozen=True, slots=True)
class Preferences:
    """`respond_async` answers 202 at once; `applied` is what the answer says was honoured.

    `deferrable` is no wish of the client's: a route takes it away whose answer cannot be fetched later.
    """

    wait_seconds: float = DEFAULT_WAIT_SECONDS
    respond_async: bool = False
    applied: str | None = None
    deferrable: bool = True

    def undeferred(self) -> Preferences:
        """What is left of the wishes where the route waits for its answer: a longer wait, and no shorter one."""
        if not self.respond_async and self.wait_seconds >= DEFAULT_WAIT_SECONDS:
            return replace(self, deferrable=False)
        return Preferences(deferrable=False)


_NONE: Final = Preferences()


def read_preferences(header: str | None) -> Preferences:
    """The preferences that this API honours; others are ignored, as the RFC asks."""
    if not header:
        return _NONE
    wait_seconds = DEFAULT_WAIT_SECONDS
    respond_async = False
    applied = []
    for part in header.split(","):
        token = part.partition(";")[0].strip().lower()
        match = _WAIT.match(token)
        if token == "respond-async":
            respond_async = True
            applied.append(token)
        elif match is not None:
            wait_seconds = min(float(match[1]), LONGEST_WAIT_SECONDS)
            applied.append(f"wait={int(wait_seconds)}")
    return Preferences(wait_seconds, respond_async, ", ".join(applied) or None)
