"""Which address of an OAuth client a request means: of those that it is registered with, for answers and afterwards."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

_LOOPBACK: Final = re.compile(r"http://(127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?((?:[/?][!-~]*)?)")


def is_registered(uri: str, registered: Collection[str], *, confidential: bool) -> bool:
    """Whether an address is one of those, letter by letter.

    An app without a secret listens on the own machine at whatever port is free: for it the port does not count where
    the host is the machine's own address (RFC 8252, section 7.3). `localhost` is a name, which may lead elsewhere.
    """
    if uri in registered:
        return True
    place = None if confidential else _LOOPBACK.fullmatch(uri)
    if place is None:
        return False
    known = (_LOOPBACK.fullmatch(each) for each in registered)
    return any(each is not None and each.groups() == place.groups() for each in known)
