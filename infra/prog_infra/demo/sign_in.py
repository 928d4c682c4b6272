"""Where the platform is, and the operator's sign-in: what `prog up` wrote into the data directory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from prog_infra import local
from prog_infra.errors import OperatorError
from prog_infra.local.directory import DEFAULT_DIRECTORY, DataDirectory


@dataclass(frozen=True, slots=True)
class Found:
    """A platform and its first administrator."""

    url: str
    email: str
    password: str


def find_platform(data: Path | None, url: str | None) -> Found:
    """The platform of a data directory; `url` names another address of the same one.

    Raises OperatorError when there is no sign-in to be read.
    """
    file = DataDirectory(data or DEFAULT_DIRECTORY).administrator_file
    start = f"start the platform with `prog up{f' --data {data}' if data else ''}`"
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        email, password = str(kept["email"]), str(kept["password"])
    except FileNotFoundError:
        raise OperatorError(f"no platform has run in {file.parent} yet", remedy=start) from None
    except PermissionError:
        remedy = "run as the user who started the platform"
        raise OperatorError(f"the administrator's sign-in in {file} is not yours to read", remedy=remedy) from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise OperatorError(f"{file} cannot be read: {error}", remedy=f"remove it and {start}") from None
    return Found((url or local.public_url(data)).rstrip("/"), email, password)
