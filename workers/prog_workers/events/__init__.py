"""The event log's domain: what customers publish, which messages speak of which object, and how a story unfolds.

Tables in schema `events`; group, role and topics are named `events`. The log itself is the carrier's
(`bus.event_log`, `bus.inbox`); `queries` is its read side.
"""
