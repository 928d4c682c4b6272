"""Monitoring: what every consumer does, how fast, and how far behind it is.

The worker sees every event and the consumers' own reports, counts them into windows of 10 seconds, and samples what
waits in the broker. Tables in schema `monitoring`; group, role and topics are named `monitoring`.
"""
