"""What the scheduler exports (INTERFACE, section 5)."""

from __future__ import annotations

from typing import Final

from prometheus_client import Counter, Gauge

JOBS: Final = Counter("prog_jobs_total", "Runs of scheduled jobs", ["job", "outcome"])
LAST_SUCCESS_SECONDS: Final = Gauge(
    "prog_job_last_success_seconds", "When a job last succeeded, in seconds since 1970", ["job"]
)
