"""The cron table: when jobs are due."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_scheduler import housekeeping
from prog_scheduler.cron import CRON, FIRST_RUN, Agenda, CronJob

START = datetime(2027, 1, 1, 3, 0, tzinfo=UTC)
HOURLY = CronJob("hourly", every=timedelta(hours=1))
NIGHTLY = CronJob("nightly", at="17 3 * * *")


def test_every_job_of_the_table_has_an_actor() -> None:
    assert {job.name for job in CRON} == {*housekeeping.PURGES, *housekeeping.COMMANDS, "keep_event_partitions"}


def test_jobs_run_soon_after_the_start_and_then_by_the_table() -> None:
    agenda = Agenda(START, [HOURLY, NIGHTLY])
    assert agenda.take_due(START) == []
    assert agenda.take_due(START + FIRST_RUN) == [HOURLY, NIGHTLY]
    assert agenda.take_due(START + FIRST_RUN) == []
    assert agenda.take_due(datetime(2027, 1, 1, 3, 17, tzinfo=UTC)) == [NIGHTLY]
    assert agenda.take_due(START + FIRST_RUN + timedelta(hours=1)) == [HOURLY]
    assert agenda.take_due(datetime(2027, 1, 2, 3, 16, 59, tzinfo=UTC)) == [HOURLY]
    assert agenda.take_due(datetime(2027, 1, 2, 3, 17, tzinfo=UTC)) == [NIGHTLY]


def test_runs_that_were_missed_count_as_one() -> None:
    agenda = Agenda(START, [HOURLY])
    assert agenda.take_due(START + timedelta(days=3)) == [HOURLY]
    assert agenda.take_due(START + timedelta(days=3, minutes=59)) == []


@given(st.integers(0, 10**9))
def test_the_next_run_is_always_later(seconds: int) -> None:
    after = START + timedelta(seconds=seconds)
    for job in (HOURLY, NIGHTLY):
        due = job.next_after(after)
        assert after < due <= after + timedelta(days=1)
        assert due.tzinfo is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"every": timedelta(hours=1), "at": "* * * * *"},
        {"every": timedelta(0)},
        {"at": "61 * * * *"},
        {"at": "now and then"},
    ],
)
def test_a_table_row_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="wrong"):
        CronJob("wrong", **wrong)  # type: ignore[arg-type]
