"""The gate for commands: two marks for a domain's backlog, a share for each tenant, no refusal without knowledge."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from prometheus_client import REGISTRY

from prog_contracts.ids import PLATFORM_TENANT_ID
from prog_contracts.messages import Command
from prog_contracts.tenants import RenameTenant
from prog_contracts.users import RefreshSession, ResendVerification
from prog_edge.limits.admission import Admission, Limits
from prog_edge.problems import TooMuch

ACME, BYTE = "tenant_01jd7z4c8nf3ktv9q2m6x0r5we", "tenant_01jd7z4c8nf3ktv9q2m6x0r5wf"
RENAME = RenameTenant(tenant_id=ACME, name="Acme")
RESEND = ResendVerification(email="ada@example.com")
REFRESH = RefreshSession(session_id="session_01jd7z4c8nf3ktv9q2m6x0r5we", sealed_refresh_token="sealed")


@pytest.fixture
def gate() -> Admission:
    return Admission(Limits(backlog=100, tenant_in_flight=3))


def refusal(gate: Admission, command: Command = RENAME, tenant_id: str = ACME, actor: str | None = None) -> TooMuch:
    with pytest.raises(TooMuch) as raised, gate.admit(command, tenant_id, actor):
        pass
    return raised.value


def is_taken(gate: Admission, command: Command = RENAME, tenant_id: str = ACME, actor: str | None = None) -> bool:
    assert gate.refuses(command, tenant_id, actor) is False
    with gate.admit(command, tenant_id, actor):
        return True


def test_what_is_not_known_is_let_through(gate: Admission) -> None:
    assert is_taken(gate)


def test_a_domain_closes_above_its_limit_and_opens_at_half_of_it(gate: Admission) -> None:
    gate.observe({"tenants": 100}, 1.0)
    assert is_taken(gate)
    gate.observe({"tenants": 101}, 1.0)
    assert refusal(gate).code == "overloaded"
    gate.observe({"tenants": 51}, 1.0)
    assert refusal(gate).code == "overloaded"
    gate.observe({"tenants": 50}, 1.0)
    assert is_taken(gate)
    gate.observe({"tenants": 100}, 1.0)
    assert is_taken(gate)


def test_one_domain_s_backlog_is_no_other_s(gate: Admission) -> None:
    gate.observe({"tenants": 1000, "users": 0}, 1.0)
    assert refusal(gate).code == "overloaded"
    assert is_taken(gate, RESEND, PLATFORM_TENANT_ID)


def test_a_broker_that_tells_nothing_closes_nothing(gate: Admission) -> None:
    gate.observe({"tenants": 1000}, 1.0)
    gate.forget()
    assert is_taken(gate)
    assert REGISTRY.get_sample_value("prog_edge_backlog", {"domain": "tenants"}) is None


def test_sessions_are_renewed_whatever_waits(gate: Admission) -> None:
    gate.observe({"users": 1000}, 1.0)
    assert refusal(gate, RESEND, PLATFORM_TENANT_ID).code == "overloaded"
    assert is_taken(gate, REFRESH, PLATFORM_TENANT_ID)


def test_it_says_when_to_come_back_by_the_pace_of_the_backlog(gate: Admission) -> None:
    gate.observe({"tenants": 1050}, 1.0)
    assert refusal(gate).retry_after_seconds == 5
    gate.observe({"tenants": 850}, 2.0)
    assert refusal(gate).retry_after_seconds == 8, "800 too many, and 100 go each second"
    gate.observe({"tenants": 849}, 2.0)
    assert refusal(gate).retry_after_seconds == 60
    gate.observe({"tenants": 60}, 1.0)
    assert refusal(gate).retry_after_seconds == 1


def test_a_tenant_has_its_share_and_no_more(gate: Admission) -> None:
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(gate.admit(RENAME, ACME, None))
        refused = refusal(gate)
        assert (refused.code, refused.retry_after_seconds) == ("too_many_in_flight", 1)
        assert is_taken(gate, RENAME, BYTE)
        with gate.admit(RENAME, ACME, None, anyway=True):
            assert refusal(gate).code == "too_many_in_flight"
    assert is_taken(gate)


def test_a_place_is_given_back_when_the_work_fails(gate: Admission) -> None:
    for _ in range(5):
        with pytest.raises(RuntimeError), gate.admit(RENAME, ACME, None):
            raise RuntimeError
    assert is_taken(gate)
    assert REGISTRY.get_sample_value("prog_edge_commands_in_flight") == 0.0


def test_who_has_nothing_at_work_is_not_remembered(gate: Admission) -> None:
    """Or the gate would grow by each tenant and person that ever sent something."""
    with gate.admit(RENAME, ACME, None), gate.admit(RENAME, ACME, None), gate.admit(RENAME, BYTE, None):
        assert gate._in_flight == {ACME: 2, BYTE: 1}
    assert len(gate._in_flight) == 0
    refused = gate.refuses(RENAME, ACME, None)
    assert (refused, len(gate._in_flight)) == (False, 0), "and who asks is not, either"


def test_what_belongs_to_no_tenant_counts_for_the_person(gate: Admission) -> None:
    ada, grace = "user_01jd7z4c8nf3ktv9q2m6x0r5we", "user_01jd7z4c8nf3ktv9q2m6x0r5wf"
    with ExitStack() as held:
        for _ in range(3):
            held.enter_context(gate.admit(RESEND, PLATFORM_TENANT_ID, ada))
        assert refusal(gate, RESEND, PLATFORM_TENANT_ID, ada).code == "too_many_in_flight"
        assert is_taken(gate, RESEND, PLATFORM_TENANT_ID, grace)
        assert is_taken(gate, RESEND, PLATFORM_TENANT_ID, None)


def test_no_limit_refuses_nothing() -> None:
    gate = Admission(Limits(backlog=0, tenant_in_flight=0))
    gate.observe({"tenants": 10**9}, 1.0)
    with ExitStack() as held:
        for _ in range(50):
            held.enter_context(gate.admit(RENAME, ACME, None))


def test_refusals_are_counted(gate: Admission) -> None:
    def count(reason: str) -> float:
        labels = {"domain": "tenants", "reason": reason}
        return REGISTRY.get_sample_value("prog_edge_commands_refused_total", labels) or 0.0

    before = count("backlog")
    gate.observe({"tenants": 1000}, 1.0)
    refusal(gate)
    assert count("backlog") == before + 1
