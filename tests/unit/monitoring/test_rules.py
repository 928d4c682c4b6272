"""What is counted where, when a window is over, and who reads which topic."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.errors import Invalid
from prog_contracts.ids import new_message_id
from prog_contracts.monitoring import CloseWindows, HandlerSample, MetricsUpdated, RecordConsumption
from prog_contracts.topics import TOPICS
from prog_kernels import histograms
from prog_workers.monitoring import rules
from prog_workers.monitoring.rules import OUTCOMES, WINDOW_SECONDS, Key

NOW = datetime(2027, 1, 1, 12, 0, 7, tzinfo=UTC)
CREATE, UPDATED = "prognetwork.tenants.create_tenant", "prognetwork.users.user_updated"

samples = st.builds(
    lambda type_name, outcome, rows: HandlerSample(
        type=type_name,
        outcome=outcome,
        at_seconds=tuple(NOW.timestamp() - ago for ago, _, _ in rows),
        handler_microseconds=tuple(handler for _, handler, _ in rows),
        end_to_end_microseconds=tuple(latency for _, _, latency in rows),
    ),
    st.sampled_from([CREATE, UPDATED, MetricsUpdated.TYPE, "prognetwork.x.y"]),
    st.sampled_from(OUTCOMES),
    st.lists(st.tuples(st.floats(-5, 60), st.integers(0, 10**7), st.integers(0, 10**8)), max_size=20),
)
reports = st.lists(
    st.builds(
        lambda group, items: RecordConsumption(process="p", group=group, samples=tuple(items)),
        st.sampled_from(["users", "tenants"]),
        st.lists(samples, max_size=4),
    ),
    max_size=5,
)


@given(reports)
def test_every_sample_is_counted_once_for_its_handler(given_reports: list[RecordConsumption]) -> None:
    tally = rules.tally_reports(given_reports, NOW)
    expected = sum(len(sample.at_seconds) for report in given_reports for sample in report.samples)
    assert sum(row.messages for row in tally.rows if row.key.scope == "handler") == expected
    assert all(sum(row.outcomes) == row.messages for row in tally.rows)


@given(reports)
def test_a_group_is_the_sum_of_its_handlers_without_telemetry(given_reports: list[RecordConsumption]) -> None:
    tally = rules.tally_reports(given_reports, NOW)
    for place, row in enumerate(tally.rows):
        if row.key.scope != "group":
            continue
        parts = [
            other
            for other, item in enumerate(tally.rows)
            if item.key.scope == "handler"
            and (item.key.group, item.window_start) == (row.key.group, row.window_start)
            and item.key.type not in rules.TELEMETRY
        ]
        assert row.messages == sum(tally.rows[part].messages for part in parts)
        assert row.handler_sum == sum(tally.rows[part].handler_sum for part in parts)
        assert row.latency_max == max(tally.rows[part].latency_max for part in parts)
        assert tally.latency.totals[place] == sum(int(tally.latency.totals[part]) for part in parts)


@given(reports)
def test_rows_and_histograms_run_in_step(given_reports: list[RecordConsumption]) -> None:
    tally = rules.tally_reports(given_reports, NOW)
    assert tally.handler.offsets.size == tally.latency.offsets.size == len(tally.rows) + 1
    measured = [row.outcomes[0] + row.outcomes[1] for row in tally.rows]
    np.testing.assert_array_equal(tally.handler.totals, measured)
    assert len({(row.key, row.window_start) for row in tally.rows}) == len(tally.rows)


def sample(at: datetime, type_name: str = CREATE) -> RecordConsumption:
    one = HandlerSample(
        type=type_name,
        outcome="succeeded",
        at_seconds=(at.timestamp(),),
        handler_microseconds=(1,),
        end_to_end_microseconds=(2,),
    )
    return RecordConsumption(process="p", group="tenants", samples=(one,))


def test_the_future_counts_now_and_the_distant_past_at_the_edge_of_what_is_kept() -> None:
    future = rules.tally_reports([sample(NOW + timedelta(hours=5))], NOW).rows[0]
    past = rules.tally_reports([sample(NOW - timedelta(days=400))], NOW).rows[0]
    assert future.window_start == datetime(2027, 1, 1, 12, 0, 0, tzinfo=UTC)
    assert NOW - past.window_start < timedelta(seconds=rules.RETENTION_SECONDS + WINDOW_SECONDS)


@pytest.mark.parametrize("telemetry", [RecordConsumption, CloseWindows, MetricsUpdated])
def test_monitorings_own_messages_count_in_no_group(telemetry: type[RecordConsumption]) -> None:
    rows = rules.tally_reports([sample(NOW, telemetry.TYPE)], NOW).rows
    assert [row.key.scope for row in rows] == ["handler"]


def test_nothing_reported_is_nothing_counted() -> None:
    assert rules.tally_reports([], NOW).rows == []
    assert rules.tally_reports([RecordConsumption(process="p", group="users", samples=())], NOW).rows == []
    assert rules.tally_events([], NOW).rows == []


def test_an_unknown_group_is_refused() -> None:
    with pytest.raises(Invalid, match="no consumer group"):
        rules.tally_reports([RecordConsumption(process="p", group="x", samples=())], NOW)


def test_an_events_age_comes_from_its_id() -> None:
    message_id = new_message_id()
    sent = rules.sent_at_seconds(message_id)
    assert sent is not None
    now = datetime.fromtimestamp(sent, UTC) + timedelta(milliseconds=250)
    [row] = rules.tally_events([(UPDATED, message_id)], now).rows
    assert row.key == Key("event", "", UPDATED)
    assert row.latency_max == 250_000
    assert row.handler_max == -1


def test_an_event_whose_id_tells_no_time_is_counted_and_not_timed() -> None:
    [row] = rules.tally_events([(UPDATED, uuid4())], NOW).rows
    assert (row.messages, row.latency_max) == (1, -1)
    assert row.window_start == datetime(2027, 1, 1, 12, 0, 0, tzinfo=UTC)


def test_an_id_from_the_future_has_no_negative_age() -> None:
    future = UUID(int=(int((NOW.timestamp() + 9) * 1000) << 80) | (7 << 76) | (2 << 62))
    [row] = rules.tally_events([(UPDATED, future)], NOW).rows
    assert row.latency_max == 0


@pytest.mark.parametrize(("seconds", "expected"), [(12.9, -1), (13.0, 0), (22.9, 0), (23.0, 1)])
def test_a_window_is_over_three_seconds_after_its_end(seconds: float, expected: int) -> None:
    assert rules.last_closed_window(datetime.fromtimestamp(seconds, UTC)) == expected


def test_figures_are_rates_and_percentiles_in_milliseconds() -> None:
    summary = histograms.aggregate([0] * 100, [0] * 100, [1000 * n for n in range(1, 101)])
    [seen] = rules.figures([100], histograms.encode(summary.histograms), summary.maxima.tolist())
    assert (seen.messages, seen.per_second) == (100, 10.0)
    assert seen.p50_milliseconds == pytest.approx(50, rel=0.01)
    assert seen.p99_milliseconds == pytest.approx(99, rel=0.01)


def test_a_window_without_measures_has_no_percentiles() -> None:
    [seen] = rules.figures([3], [b""], [-1])
    assert seen == rules.Figures(3, 0.3, None, None, None)
    assert rules.metrics_updated("users", NOW, seen).p99_milliseconds == 0.0


def test_a_group_reads_the_topics_that_it_has_handlers_for() -> None:
    found = rules.readers({"payments": ["prognetwork.payments.pay_invoice", "prognetwork.tenants.tenant_created"]})
    assert "payments" in found["prog.payments.commands"]
    assert "payments" in found["prog.tenants.events"]
    assert "payments" not in found["prog.users.events"]


def test_observers_and_groups_that_never_ran_read_all_they_may() -> None:
    found = rules.readers({"monitoring": [RecordConsumption.TYPE], "events": []})
    for topic in TOPICS.values():
        assert found[topic.name] == topic.consumers
