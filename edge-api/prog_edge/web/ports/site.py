"""What the marketing site needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from prog_edge.web.ports.shared import Plan


class SiteBackend(Protocol):
    async def plans(self) -> Sequence[Plan]:
        """The platform's plans on sale, cheapest first."""
        ...

    async def capture_lead(
        self, *, email: str, name: str | None, message: str | None, idempotency_key: str
    ) -> None: ...
