"""The table of periodic jobs, and when each is due. What it says is pure: instants in, instants out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from croniter import croniter


@dataclass(frozen=True, slots=True)
class CronJob:
    """A job by the name of its actor: `every` so often, or `at` the times of a cron expression (UTC). One of both."""

    name: str
    every: timedelta | None = None
    at: str | None = None

    def __post_init__(self) -> None:
        if (self.every is None) == (self.at is None):
            raise ValueError(f"{self.name}: give either `every` or `at`")
        if self.every is not None and self.every <= timedelta(0):
            raise ValueError(f"{self.name}: `every` must be positive")
        if self.at is not None and not croniter.is_valid(self.at):
            raise ValueError(f"{self.name}: {self.at!r} is no cron expression")

    def next_after(self, instant: datetime) -> datetime:
        """The first time after `instant` at which the job is due."""
        if self.every is not None:
            return instant + self.every
        assert self.at is not None
        due: datetime = croniter(self.at, instant).get_next(datetime)
        return due


CRON: Final = (
    CronJob("purge_inbox", at="17 3 * * *"),
    CronJob("purge_idempotency_keys", every=timedelta(minutes=30)),
    CronJob("purge_published_commands", at="47 3 * * *"),
    CronJob("purge_members", every=timedelta(hours=1)),
    CronJob("purge_dead_letters", at="57 3 * * *"),
    CronJob("purge_credentials", at="7 4 * * *"),
    CronJob("end_expired_sessions", every=timedelta(minutes=5)),
    CronJob("wrap_tenant_keys", at="12 4 * * *"),
    CronJob("recheck_domains", every=timedelta(minutes=10)),
    CronJob("purge_published_events", at="27 3 * * *"),
    CronJob("forget_old_mails", at="22 4 * * *"),
    CronJob("forget_old_invitations", at="32 4 * * *"),
    CronJob("forget_old_logos", at="42 4 * * *"),
    CronJob("keep_event_partitions", at="37 * * * *"),
)

FIRST_RUN: Final = timedelta(seconds=60)
"""Every job runs this long after the start too, for machines that are not up in the night."""


class Agenda:
    """When each job of a table is due next."""

    def __init__(self, start: datetime, table: Sequence[CronJob] = CRON) -> None:
        self._due = dict.fromkeys(table, start + FIRST_RUN)

    def take_due(self, now: datetime) -> list[CronJob]:
        """The jobs that are due at `now`. Runs that were missed count as one."""
        due = [job for job, at in self._due.items() if at <= now]
        for job in due:
            self._due[job] = job.next_after(now)
        return due
