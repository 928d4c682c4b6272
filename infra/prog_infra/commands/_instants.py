"""Points in time as people give them on the command line."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from prog_infra.errors import OperatorError

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_REMEDY: Final = "give a duration such as 90s, 15m, 2h or 1d, or a time such as 2026-03-01T12:00 (UTC)"


def past(text: str, now: datetime) -> datetime:
    """The instant that `15m` (so long before `now`) or an ISO 8601 time stands for; one without a zone is in UTC.

    Raises OperatorError for anything else, and for a time that is still to come.
    """
    try:
        if duration := re.fullmatch(r"(\d{1,9}(?:\.\d{1,6})?)([smhd])", text.strip()):
            return now - timedelta(**{_UNITS[duration[2]]: float(duration[1])})
        at = datetime.fromisoformat(text.strip())
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise OperatorError(f"{text!r} is no time and no duration", remedy=_REMEDY) from None
    if at > now:
        raise OperatorError(f"{at:%Y-%m-%d %H:%M:%S} UTC is still to come", remedy=_REMEDY)
    return at
