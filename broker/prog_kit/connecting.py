"""One error for a connection that cannot be had, around what httpx asks of other servers.

A connection that ends at the moment at which it opens leaves uvloop without a socket. anyio asks that socket for its
peer all the same and expects an OSError alone, so an AttributeError would go past all who take httpx's errors for a
server that is away.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx


@contextmanager
def connecting() -> Iterator[None]:
    """Around a request of httpx's. Raises ConnectError where its connection was gone as soon as it was there; nothing
    was sent then."""
    try:
        yield
    except AttributeError as error:
        if error.name != "getpeername" or error.obj is not None:
            raise
        raise httpx.ConnectError("the connection ended as it opened") from error
