"""Whose pages are served at which host: names that tenants have proven, known to each edge as a whole.

All of them are read at once, when somebody asks and what is known is `FRESH_SECONDS` old. So a flood of names that are
nobody's costs a look into a dictionary each, and nothing is remembered of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Final

from prog_contracts.errors import Unavailable
from prog_kit.database import FAILURES
from prog_kit.logging import get
from prog_workers.tenants.queries.custom_domains import ServedDomain

FRESH_SECONDS: Final = 5.0
"""How long a domain that was proven may wait to be served, and one that was lost may be served still."""
STALE_SECONDS: Final = 300.0
"""How long what was known holds while the database does not answer."""
RETRY_SECONDS: Final = 1.0

_log = get("prog_edge.hosts")


class TenantHosts:
    """`read` tells whose each served name is. Requests that find it too old share one reading."""

    def __init__(
        self, read: Callable[[], Awaitable[Mapping[str, ServedDomain]]], *, clock: Callable[[], float] = monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._known: Mapping[str, ServedDomain] = {}
        self._known_at: float | None = None
        self._tried_at: float | None = None
        self._reading: asyncio.Task[None] | None = None

    async def tenant_of(self, host: str) -> str | None:
        """The tenant whose pages are served at this name. Raises Unavailable when nobody can tell."""
        found = await self.served(host)
        return None if found is None else found.tenant_id

    async def served(self, host: str) -> ServedDomain | None:
        """Whose pages are served at this name, and whether it leads here. Raises Unavailable when nobody can tell."""
        if not self._is_fresh():
            await self._refresh()
        if self._known_at is None or self._clock() - self._known_at > STALE_SECONDS:
            raise Unavailable("Which names are served cannot be read at the moment.")
        return self._known.get(host)

    def forget(self) -> None:
        """Has the next request read anew: this edge has just changed something."""
        self._tried_at = None
        self._known_at = None if self._known_at is None else self._known_at - FRESH_SECONDS

    def _is_fresh(self) -> bool:
        now = self._clock()
        if self._known_at is not None and now - self._known_at < FRESH_SECONDS:
            return True
        return self._tried_at is not None and now - self._tried_at < RETRY_SECONDS

    async def _refresh(self) -> None:
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_all())
        await asyncio.shield(self._reading)

    async def _read_all(self) -> None:
        self._tried_at = began = self._clock()
        try:
            self._known = await self._read()
        except (OSError, *FAILURES) as error:
            _log.warning("tenants' domains cannot be read, what was known holds on", error=repr(error))
        else:
            self._known_at = began
