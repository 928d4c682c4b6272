"""What the edge tells the audit trail: requests that it turned away, and where commands came from.

- `denials` counts what was turned away, bounded: alike within a minute are one
- `feed`    writes both into the database twice a second, behind the requests

The events domain's recorder puts them into the chains (`prog_workers.events.audit`).
"""
