"""How values look to people: money, times, durations, counts, ids and the names of messages."""

from __future__ import annotations

import json
import math
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.numbers import format_currency
from markupsafe import Markup

from prog_contracts.money import EXPONENTS, Money

_MINUTE_SECONDS = 60
_HOUR_SECONDS = 3600
_DAY_SECONDS = 86400
_zone: Final[ContextVar[tzinfo]] = ContextVar("zone", default=UTC)


def money(value: Money, *, short: bool = False) -> str:
    """`$19.99`; with `short`, whole amounts lose their zeros: `$29`."""
    exponent = EXPONENTS.get(value.currency, 2)
    whole = short and value.amount % 10**exponent == 0
    pattern = "¤#,##0" if whole else None
    return format_currency(
        value.amount / 10**exponent, value.currency, format=pattern, locale="en_US", currency_digits=not whole
    )


def count(value: int) -> str:
    return f"{value:,}"


def compact(value: float) -> str:
    """Three significant figures: `0.42`, `8.1`, `942`, `12.4k`, `3.2M`."""
    for limit, unit in ((1_000_000, "M"), (1_000, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.3g}{unit}"
    return f"{value:.3g}" if value % 1 else f"{int(value)}"


def duration(milliseconds: float | None) -> str:
    """`0.4 ms`, `12 ms`, `1.3 s`, `4 min`, `2 h`, `31 d`; a dash when nothing was measured."""
    if milliseconds is None:
        return "–"
    if milliseconds < 10:
        return f"{milliseconds:.1f} ms"
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    for limit, unit_seconds, unit in (
        (_MINUTE_SECONDS, 1, "s"),
        (_HOUR_SECONDS, _MINUTE_SECONDS, "min"),
        (_DAY_SECONDS, _HOUR_SECONDS, "h"),
    ):
        if seconds < limit:
            return f"{seconds / unit_seconds:.1f} {unit}" if unit == "s" else f"{seconds / unit_seconds:.0f} {unit}"
    return f"{seconds / _DAY_SECONDS:.0f} d"


def in_words(seconds: int) -> str:
    """`1 second`, `42 seconds`, `5 minutes`: how long to wait, rounded up, so that whoever comes then is in time."""
    amount, unit = (
        (seconds, "second") if seconds < _MINUTE_SECONDS else (math.ceil(seconds / _MINUTE_SECONDS), "minute")
    )
    return f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"


def hours(value: int) -> str:
    """`36 hours`, `3 days`: how long something is kept."""
    amount, unit = (value, "hour") if value % 24 else (value // 24, "day")
    return f"{amount} {unit}" if amount == 1 else f"{amount} {unit}s"


def show_in(time_zone: str | None) -> None:
    """Times are in this zone from now on, for whoever serves the request at hand; None is UTC."""
    _zone.set(UTC if time_zone is None else _found(time_zone))


@cache
def _found(time_zone: str) -> tzinfo:
    """UTC for a name that is not known any more."""
    try:
        return ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def zone_name() -> str:
    """The zone that times are in, as people know it: `UTC`, `Europe/Berlin`."""
    return str(_zone.get())


def zone() -> tzinfo:
    """The zone that times are in, for whoever serves the request at hand."""
    return _zone.get()


def day(value: datetime) -> str:
    return f"{value.astimezone(_zone.get()):%-d %b %Y}"


def exact(value: datetime) -> str:
    """To the millisecond, with the zone; what a time's tooltip says."""
    zone = _zone.get()
    moment = value.astimezone(zone)
    where = "UTC" if zone is UTC else f"{moment:%z} {zone}"
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d} {where}"


def ago(value: datetime, now: datetime | None = None) -> str:
    """`just now`, `4 min ago`, `3 h ago`, `in 2 days`; a date when it is more than a week away."""
    seconds = ((now or datetime.now(UTC)) - value).total_seconds()
    distance = abs(seconds)
    if distance < 45:
        return "just now" if seconds >= 0 else "in a moment"
    if distance >= timedelta(days=7).total_seconds():
        return day(value)
    if distance < _HOUR_SECONDS:
        amount, unit = max(1, round(distance / _MINUTE_SECONDS)), "min"
    elif distance < _DAY_SECONDS:
        amount, unit = round(distance / _HOUR_SECONDS), "h"
    else:
        amount = round(distance / _DAY_SECONDS)
        unit = "day" if amount == 1 else "days"
    return f"{amount} {unit} ago" if seconds >= 0 else f"in {amount} {unit}"


def moment(value: datetime) -> Markup:
    """A `time` element: how long ago, with the exact instant as its title."""
    return _time_element(value, ago(value))


def date(value: datetime) -> Markup:
    """A `time` element that shows the day; for billing, where a date is what counts."""
    return _time_element(value, day(value))


def clock(value: datetime) -> Markup:
    """A `time` element that shows the time of day to the millisecond."""
    at = value.astimezone(_zone.get())
    return _time_element(value, f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}")


def clock_time(value: datetime) -> Markup:
    """A `time` element that shows the hour and minute, and of which zone they are."""
    at = value.astimezone(_zone.get())
    return _time_element(value, f"{at:%H:%M %Z}")


def _time_element(value: datetime, text: str) -> Markup:
    iso = value.astimezone(UTC).isoformat()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso, exact(value), text)


def json_text(value: object) -> str:
    """JSON to read and to edit: indented, in the order of its keys, every character as it is."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def short_id(value: str) -> str:
    """`tenant_01jd…r5we`: enough to tell two apart, short enough for a column."""
    head, separator, tail = value.partition("_")
    if separator and len(tail) > 10:
        return f"{head}_{tail[:4]}…{tail[-4:]}"
    return f"{value[:8]}…{value[-4:]}" if len(value) > 20 else value


def short_type(value: str) -> str:
    """`users.user_created` of `prognetwork.users.user_created`."""
    return value.removeprefix("prognetwork.")


def words(value: str) -> str:
    """`past_due` -> `Past due`."""
    text = value.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def setting(value: object) -> str:
    """A setting's value as people read it."""
    return "not set" if value is None else str(value)


def initials(name: str) -> str:
    parts = [part for part in name.split() if part]
    letters = [parts[0][0], parts[-1][0]] if len(parts) > 1 else [part[0] for part in parts]
    return "".join(letters).upper() or "?"
