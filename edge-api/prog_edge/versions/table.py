"""The versions, oldest first. A new one is added at the end, with its changes; the one before gets its dates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from email.utils import format_datetime
from functools import cache
from typing import Final

from prog_contracts.errors import Invalid
from prog_edge.problems import Refused
from prog_edge.versions.changes import Change, Operation, Renamed

HEADER: Final = "Prog-Version"

_TENANTS: Final[frozenset[Operation]] = frozenset(
    {
        ("GET", "/v1/tenants"),
        ("POST", "/v1/tenants"),
        ("GET", "/v1/tenants/{tenant_id}"),
        ("PATCH", "/v1/tenants/{tenant_id}"),
        ("DELETE", "/v1/tenants/{tenant_id}"),
        ("POST", "/v1/tenants/{tenant_id}/suspend"),
        ("POST", "/v1/tenants/{tenant_id}/resume"),
        ("POST", "/v1/tenants/{tenant_id}/restore"),
    }
)


@dataclass(frozen=True, slots=True)
class Version:
    """`changes` are those since the version before. A version with successors has the day on which it was deprecated
    and one until which it is served at the least."""

    day: date
    changes: tuple[Change, ...] = ()
    deprecated_on: date | None = None
    sunset_on: date | None = None

    @property
    def name(self) -> str:
        return self.day.isoformat()

    @property
    def title(self) -> str:
        """What people choose by."""
        if self.sunset_on is None:
            return f"{self.name}, the newest"
        return f"{self.name}, until {self.sunset_on}"


VERSIONS: Final[tuple[Version, ...]] = (
    Version(date(2026, 9, 1), deprecated_on=date(2026, 11, 26), sunset_on=date(2027, 11, 26)),
    Version(
        date(2026, 11, 26),
        (
            Renamed(
                _TENANTS,
                "answer",
                older="members",
                newer="member_count",
                text="A tenant's `members` is `member_count`: it is a number, and the members are a list of their own.",
            ),
            Renamed(
                frozenset({("POST", "/v1/leads")}),
                "request",
                older="message",
                newer="note",
                text="A lead's `message` is `note`: messages are mails.",
            ),
        ),
    ),
)
NEWEST: Final = VERSIONS[-1]
_BY_NAME: Final = {version.name: version for version in VERSIONS}


def version_of(name: str) -> Version:
    """The version that a client names. Raises Refused when there is none of that name."""
    version = _BY_NAME.get(name)
    if version is None:
        known = ", ".join(_BY_NAME)
        raise Refused(400, "version_unknown", f"{HEADER} is one of the API's versions: {known}.")
    return version


def version_named(name: str | None) -> Version | None:
    """The version of that name; None without a name, and for one that is served no more."""
    return None if name is None else _BY_NAME.get(name)


def check_default(name: str | None) -> None:
    """Raises Invalid for a version that a tenant cannot set for requests that name none, for there is none such."""
    if name is not None and name not in _BY_NAME:
        message = f"Choose one of the API's versions: {', '.join(_BY_NAME)}."
        raise Invalid.field("settings.api_version", "version_unknown", message)


def version_at(moment: datetime) -> Version:
    """The newest version on that day: what a program was written for that was given its key then."""
    today = moment.astimezone(UTC).date()
    return next((version for version in reversed(VERSIONS) if version.day <= today), VERSIONS[0])


def changes_since(version: Version, operation: Operation) -> tuple[Change, ...]:
    """The changes of an operation after a version, oldest first."""
    later = VERSIONS[VERSIONS.index(version) + 1 :]
    return tuple(change for newer in later for change in newer.changes if operation in change.operations)


def changed_operations(versions: Iterable[Version] = VERSIONS) -> frozenset[Operation]:
    return frozenset(operation for version in versions for change in version.changes for operation in change.operations)


@cache
def version_headers(version: Version, public_url: str) -> tuple[tuple[bytes, bytes], ...]:
    """What an answer tells of its version: its name, that it is deprecated (RFC 9745), how long it lasts (RFC 8594)."""
    headers = [(b"prog-version", version.name.encode())]
    if version.deprecated_on is not None:
        headers.append((b"deprecation", b"@%d" % _midnight(version.deprecated_on).timestamp()))
        link = f'<{public_url}/docs/versions>; rel="deprecation"; type="text/html"'
        headers.append((b"link", link.encode()))
    if version.sunset_on is not None:
        headers.append((b"sunset", format_datetime(_midnight(version.sunset_on), usegmt=True).encode()))
    return tuple(headers)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
