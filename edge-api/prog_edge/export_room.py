"""Whether people's exports are small enough: each is read for that once a minute at most, and by one at a time, so that
nobody has the database read again and again by asking."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from prog_contracts.errors import Conflict

KNOWN_SECONDS: Final = 60.0
MAX_KNOWN: Final = 10_000


class ExportRoom:
    """What this process has found lately; bounded."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._known: OrderedDict[tuple[str, int], tuple[float, bool]] = OrderedDict()
        """By person and limit: until when it is known, and whether all fits."""
        self._measuring: set[str] = set()

    async def fits(self, user_id: str, limit_bytes: int, measure: Callable[[], Awaitable[bool]]) -> bool:
        """What `measure` says, now or within the last minute.

        Raises Conflict with code `exported_just_now` while it is at it for the same person.
        """
        until, fits = self._known.get((user_id, limit_bytes), (0.0, False))
        if self._clock() < until:
            return fits
        if user_id in self._measuring:
            raise Conflict("Your data are being read just now. Try again in a minute.", code="exported_just_now")
        self._measuring.add(user_id)
        try:
            fits = await measure()
        finally:
            self._measuring.discard(user_id)
        self._known[user_id, limit_bytes] = (self._clock() + KNOWN_SECONDS, fits)
        self._known.move_to_end((user_id, limit_bytes))
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return fits
