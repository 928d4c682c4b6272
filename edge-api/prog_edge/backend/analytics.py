"""Behind the console's page about all tenants: counted by a database role that reads neither names nor ids."""

from __future__ import annotations

from datetime import UTC, datetime

from prog_contracts.errors import Denied
from prog_edge.platform import Platform
from prog_edge.web.ports import Dimension, GroupFigures, TenantFigures, Viewer
from prog_workers.tenants import queries
from prog_workers.tenants.queries import Disclosed


class Analytics:
    """Implements `prog_edge.web.ports.AnalyticsBackend`."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    async def tenants(self, viewer: Viewer, by: Dimension) -> TenantFigures:
        if not viewer.is_operator:
            raise Denied("The admin console is for operators of this platform.")
        async with self._platform.reader.analyst() as connection:
            total, groups = await queries.tenants_by(connection, by, datetime.now(UTC).date())
        return TenantFigures(by, queries.MINIMUM, _group(total), [_group(group) for group in groups])


def _group(told: Disclosed) -> GroupFigures:
    return GroupFigures(told.group, told.tenants, told.mean_members)
