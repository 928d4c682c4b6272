"""The edge's gate sees what waits on either broker, closes above its limit, and opens when it is drained or unknown."""

from __future__ import annotations

import asyncio

from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant
from prog_edge.limits.admission import Admission, Limits
from prog_edge.limits.backlog import BacklogWatch
from tests.integration.broker.conftest import Rig
from tests.waiting import wait_until

LIMIT = 20


async def test_the_gate_closes_for_a_backlog_and_opens_when_it_is_drained(rig: Rig) -> None:
    gate = Admission(Limits(backlog=LIMIT, tenant_in_flight=0))
    watch = BacklogWatch(rig.transport, gate)
    command = RenameTenant(tenant_id=new_id("tenant"), name="Sounded")
    await watch.look()
    assert not gate.refuses(command, command.tenant_id, None)

    asked = [asyncio.create_task(rig.rename(f"n{n}", wait_seconds=60)) for n in range(LIMIT + 5)]

    async def is_closed() -> bool:
        await watch.look()
        return gate.refuses(command, command.tenant_id, None)

    await wait_until(is_closed, within_seconds=60, what="the backlog to close the gate")
    await rig.worker()
    assert {answer.status for answer in await asyncio.gather(*asked)} == {"succeeded"}

    async def is_open() -> bool:
        return not await is_closed()

    await wait_until(is_open, within_seconds=60, what="the drained backlog to open the gate")
