"""What a handler logs tells which message it had."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from prog_broker import calling
from prog_contracts.envelope import Envelope, wrap
from prog_contracts.ids import new_id
from prog_contracts.tenants import RenameTenant
from prog_kit.logging import add_surroundings
from prog_kit.telemetry import new_traceparent, trace_id


def logged() -> dict[str, Any]:
    """The fields of a line that is written now."""
    return dict(add_surroundings(None, "info", {"event": "late", "tenant_id": "its own"}))


def message() -> Envelope:
    tenant_id = new_id("tenant")
    return wrap(
        RenameTenant(tenant_id=tenant_id, name="Acme"),
        tenant_id=tenant_id,
        source="/test",
        traceparent=new_traceparent(),
    )


async def handle(fails: bool, envelope: Envelope) -> dict[str, Any]:
    seen: list[dict[str, Any]] = []

    async def handler(command: object, tx: object) -> None:
        seen.append(logged())
        if fails:
            raise ValueError("no")

    registration = SimpleNamespace(batch_handler=None, handler=handler)
    item = SimpleNamespace(registration=registration, envelope=envelope, message=None)
    if fails:
        with pytest.raises(ValueError, match="no"):
            await calling.call(None, [item], None)  # type: ignore[arg-type, list-item]
    else:
        await calling.call(None, [item], None)  # type: ignore[arg-type, list-item]
    return seen[0]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_line_tells_the_message_at_work_and_none_when_it_is_over(fails: bool) -> None:
    envelope = message()
    told = await handle(fails, envelope)
    assert told["message_id"] == str(envelope.id)
    assert told["correlation_id"] == str(envelope.correlation_id)
    assert told["trace_id"] == trace_id(envelope.traceparent)
    assert told["tenant_id"] == "its own", "what a line says itself stands"
    assert logged() == {"event": "late", "tenant_id": "its own"}
