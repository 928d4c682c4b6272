"""The fault rig: real processes, real servers, faults at random points from a seed, and a ledger that is checked.

    task faults                        # the short form: every kind of fault once, about a minute
    task faults -- --long              # at least 100,000 messages
    task faults -- --seed 7 --json     # the same faults again, for machines

Producers note every id before they send it, workers write what they apply into a ledger table in the transaction of
their effects, and a provider outside notes what it was asked to do. Meanwhile `chaos` kills, pauses and cuts off
everybody. When all is healed and quiet, `ledger` compares: nothing lost, nothing applied twice, no key out of order.

- `stage`     the servers and processes, started, watched and ended
- `chaos`     the faults, drawn from the seed
- `proxy`     stands between every process and its servers: cuts, delays, swallows
- `producers` and `appending` send commands (as the edge does) and events (as a domain does)
- `worker`    the product's worker, with handlers of the rig's own that write the ledger and fail on purpose
- `provider`  the outside: honours idempotency keys, loses answers
- `ledger`, `recovery`  pure: what was lost, doubled, reordered; how long recovery took
"""
