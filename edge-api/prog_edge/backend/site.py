"""Behind the marketing site."""

from __future__ import annotations

from prog_contracts.email import CaptureLead
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id
from prog_edge.backend.plans import plans_on_sale
from prog_edge.backend.sender import Sender
from prog_edge.platform import Platform
from prog_edge.web.ports import Plan


class Site:
    """Implements `prog_edge.web.ports.SiteBackend`."""

    def __init__(self, platform: Platform, sender: Sender) -> None:
        self._platform = platform
        self._sender = sender

    async def plans(self) -> list[Plan]:
        async with self._platform.reader.scope() as connection:
            return await plans_on_sale(connection)

    async def capture_lead(self, *, email: str, name: str | None, message: str | None, idempotency_key: str) -> None:
        command = CaptureLead(lead_id=new_id("lead"), email=email, name=name, message=message)
        await self._sender.ask(command, tenant_id=PLATFORM_TENANT_ID, actor=None, idempotency_key=idempotency_key)
