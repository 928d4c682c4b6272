"""The audit trail: who did what in a tenant, with which outcome, in a chain of hashes that shows every later change.

- `entries`     what an entry says, its canonical form and its hash
- `deciding`    which messages become entries, and what they say
- `recording`   the recorder: reads what happened from the database, and appends it to the chains
- `writing`     the SQL of it
- `signing`     signed heads, which tell a chain that was written anew
- `verifying`   recomputes chains, and names what is not as it was written

`prog_workers.events.queries.audit` lists entries for the edge. infra/adr/0019-audit-trail.md says why it is so.
"""
