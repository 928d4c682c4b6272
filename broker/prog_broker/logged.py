"""A message of the event log, as it goes out to the broker and as it is replayed."""

from __future__ import annotations

import asyncpg

from prog_contracts.envelope import Envelope


def envelope_of(row: asyncpg.Record) -> Envelope:
    """The envelope of a row that has the log's columns; what a tenant published keeps its own source."""
    return Envelope(
        id=row["message_id"],
        type=row["type"],
        source=row["source"] or f"/prognetwork/{row['source_domain']}",
        tenant_id=row["tenant_id"],
        partition_key=row["partition_key"],
        correlation_id=row["correlation_id"],
        time=row["occurred_at"],
        data=row["data"],
        schema_version=row["schema_version"],
        causation_id=row["causation_id"],
        subject=row["subject"],
        actor=row["actor"],
        traceparent=row["traceparent"],
    )
