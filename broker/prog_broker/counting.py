"""What is counted of a batch that was committed: for Prometheus, and for the monitoring domain's report."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from prog_broker.calling import batch_key
from prog_broker.decoding import Incoming
from prog_broker.ports import Shard
from prog_broker.replies import StoredAnswer
from prog_broker.reporting import Report, ReportedOutcome
from prog_contracts.events import counted_type
from prog_kit.telemetry import HANDLER_SECONDS, MESSAGES

Handled = tuple[Incoming, tuple[StoredAnswer, int]]
"""A message, its answer, and the microseconds that its handler took."""


def count_duplicates(shard: Shard, known: Sequence[Incoming]) -> None:
    if known:
        MESSAGES.labels(shard.topic.name, "duplicate").inc(len(known))


def count_handled(
    shard: Shard, report: Report, items: Sequence[Incoming], answers: Sequence[tuple[StoredAnswer, int]]
) -> None:
    """Messages that one call of a handler took have one time and one end, and are counted together."""
    MESSAGES.labels(shard.topic.name, "succeeded").inc(len(items))
    for _, called in groupby(zip(items, answers, strict=True), key=_call_and_type):
        told = list(called)
        envelopes = [item.envelope for item, _ in told]
        answer, microseconds = told[0][1]
        HANDLER_SECONDS.labels(counted_type(envelopes[0].type)).observe(microseconds * len(told) / 1e6)
        outcome: ReportedOutcome = "refused" if answer.status == "failed" else "succeeded"
        report.add(shard.group, envelopes, outcome, microseconds)


def _call_and_type(handled: Handled) -> tuple[Any, str]:
    item, _ = handled
    return batch_key(item), item.envelope.type
