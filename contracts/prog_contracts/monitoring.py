"""Messages of the monitoring domain: what consumers did, what was measured, and what is wrong."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from prog_contracts.ids import AlertId
from prog_contracts.messages import Command, Event, command, event


class HandlerSample(BaseModel):
    """What one handler did since the last report. Times are microseconds."""

    model_config = ConfigDict(frozen=True)

    type: str
    outcome: Literal["succeeded", "refused", "retried", "dead", "duplicate"]
    at_seconds: tuple[float, ...]
    handler_microseconds: tuple[int, ...]
    end_to_end_microseconds: tuple[int, ...]


@command("prognetwork.monitoring.record_consumption", key="process")
class RecordConsumption(Command):
    """A consumer process tells, about once a second, what its handlers did; a sample's tuples run in step."""

    process: str
    group: str
    samples: tuple[HandlerSample, ...]


@command("prognetwork.monitoring.close_windows", key="process")
class CloseWindows(Command):
    """Tell of the windows that are over; sent by monitoring itself when no report comes in any more to do so."""

    process: str


@event("prognetwork.monitoring.alert_triggered", key="alert_id")
class AlertTriggered(Event):
    alert_id: AlertId
    rule: str
    severity: Literal["info", "warning", "critical"]
    summary: str
    triggered_at: datetime


@event("prognetwork.monitoring.alert_resolved", key="alert_id")
class AlertResolved(Event):
    alert_id: AlertId
    rule: str
    resolved_at: datetime


@event("prognetwork.monitoring.health_check_failed", key="service")
class HealthCheckFailed(Event):
    service: str
    check: str
    detail: str
    failed_at: datetime


@event("prognetwork.monitoring.metrics_updated", key="group")
class MetricsUpdated(Event):
    """A window of 10 s is closed for a consumer group. The percentiles are from sending to handled."""

    group: str
    window_start: datetime
    messages: int
    per_second: float
    p50_milliseconds: float
    p95_milliseconds: float
    p99_milliseconds: float
