"""What a sign-in through another provider has begun with is good for one answer, of that provider, for ten minutes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from prog_contracts.ids import new_id
from prog_edge.context import Site
from prog_edge.federation import Whence
from prog_edge.federation.pending import LIFETIME, Pending, state_at, whence
from prog_kit.secrets import Sealer

BEGAN = datetime(2027, 1, 31, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("after", "counts"),
    [(timedelta(0), True), (LIFETIME - SECOND, True), (LIFETIME, False), (timedelta(days=1), False), (-SECOND, False)],
)
def test_an_answer_counts_for_ten_minutes(after: timedelta, counts: bool) -> None:
    begun = Pending.begin("acme", "sign_in", "/account", BEGAN)
    assert begun.is_answered_by("acme", begun.state, BEGAN + after) is counts
    assert not begun.is_answered_by("other", begun.state, BEGAN + after)
    assert not begun.is_answered_by("acme", "", BEGAN + after)


@pytest.mark.parametrize(
    ("after", "counts"),
    [(timedelta(0), True), (-SECOND, True), (LIFETIME - SECOND, True), (LIFETIME, False), (-LIFETIME, False)],
)
def test_an_answer_goes_on_to_a_tenant_s_host_as_long(after: timedelta, counts: bool) -> None:
    """A second before its time, too: the clocks of two edges differ."""
    site = Site(new_id("tenant"), "login.acme.example", is_active=True)
    state = state_at(Sealer(("0123456789abcdef" * 4,)), "acme", site, BEGAN)
    found = whence(Sealer(("0123456789abcdef" * 4,)), state)
    assert found == Whence("acme", site.tenant_id, site.host, BEGAN)
    assert found.is_answered_by("acme", BEGAN + after) is counts
    assert not found.is_answered_by("other", BEGAN + after)
