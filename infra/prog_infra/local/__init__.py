"""The platform on one machine: its data directory, its settings, its servers and its processes.

`prog up` builds it from the modules here; other commands find the running one through `settings` and `public_url`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from prog_infra.errors import OperatorError
from prog_infra.local.directory import DEFAULT_DIRECTORY, DataDirectory

if TYPE_CHECKING:
    from prog_kit.settings import Settings

HOW_TO_NAME_ONE: Final = (
    "start one with `prog up`, go to the directory where it runs, name its data with --data, or set PROG_DATABASE_URL"
    " and the other settings (infra/SETTINGS.md)"
)
"""The remedy where a command does not know which platform is meant."""
_ESSENTIAL: Final = frozenset(
    name + suffix for name in ("PROG_DATABASE_URL", "PROG_REDIS_URL", "PROG_SECRET_KEYS") for suffix in ("", "_FILE")
)

__all__ = [
    "DEFAULT_DIRECTORY",
    "HOW_TO_NAME_ONE",
    "DataDirectory",
    "database_url",
    "environment",
    "known_environment",
    "public_url",
    "settings",
]


def environment(data: Path | None = None) -> dict[str, str]:
    """The variables of the platform to talk to: the environment's own, completed from what `prog up` wrote down.

    A data directory that is named wins over the environment, since whoever names it means that platform.
    """
    kept = DataDirectory(data or DEFAULT_DIRECTORY).platform()
    own = {name: value for name, value in os.environ.items() if name.startswith("PROG_")}
    if data is not None and not kept:
        raise OperatorError(f"no platform has run in {data} yet", remedy=f"start one: prog up --data {data}")
    return own | kept if data is not None else kept | own


def known_environment(data: Path | None = None) -> dict[str, str]:
    """The same. Raises OperatorError where nothing tells of a platform at all."""
    values = environment(data)
    if not values.keys() & _ESSENTIAL:
        raise OperatorError(f"no platform has run in {DEFAULT_DIRECTORY.absolute()} yet", remedy=HOW_TO_NAME_ONE)
    return values


def settings(data: Path | None = None) -> "Settings":
    """The settings of the platform to talk to.

    Raises OperatorError where nothing tells of one, SettingsError where what is told is incomplete or wrong.
    """
    from prog_kit.settings import Settings

    return Settings.load(known_environment(data))


def database_url(data: Path | None = None) -> str:
    """The administrator's address of the database. Raises OperatorError when there is none."""
    values = environment(data)
    if file := values.get("PROG_DATABASE_URL_FILE"):
        return Path(file).read_text(encoding="utf-8").strip()
    url = values.get("PROG_DATABASE_URL")
    if url is None:
        raise OperatorError("there is no database", remedy=HOW_TO_NAME_ONE)
    return url


def public_url(data: Path | None = None) -> str:
    """The address of the platform that runs, without a slash at the end."""
    return environment(data).get("PROG_PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
