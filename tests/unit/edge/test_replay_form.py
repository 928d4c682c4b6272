"""What the console's form for replays asks for."""

from __future__ import annotations

import pytest

from prog_broker.replaying import ReplayRequest, Scope
from prog_contracts.errors import Invalid
from prog_edge.backend.replays import request_of


def test_an_empty_form_asks_for_everything_and_stops_at_a_failure() -> None:
    asked = {"group": "events", "reason": "a defect", "types": "", "tenant_id": "", "from_position": ""}

    assert request_of(asked) == ReplayRequest("events", "a defect", Scope(), rebuild=False, skip_failing=False)


def test_a_full_form_is_read_whole() -> None:
    asked = {
        "group": "events",
        "reason": "a defect",
        "types": "acme.paid, acme.sent,",
        "tenant_id": "tenant_1",
        "subject": "order_1",
        "from_position": "7",
        "to_position": "9",
        "reset": "yes",
        "skip_failing": "yes",
    }
    scope = Scope(
        types=("acme.paid", "acme.sent"), tenant_id="tenant_1", subject="order_1", from_position=7, to_position=9
    )

    assert request_of(asked) == ReplayRequest("events", "a defect", scope, rebuild=True, skip_failing=True)


@pytest.mark.parametrize("text", ["-1", "seven", "9223372036854775808"])
def test_a_position_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        request_of({"group": "events", "reason": "x", "from_position": text})
