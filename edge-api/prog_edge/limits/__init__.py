"""Protection against too much. What is refused here is answered with 429 and has left nothing behind.

- `commands`   the edge's one way to send commands, through the gate
- `admission`  the gate: a domain's backlog, a tenant's commands at work
- `backlog`    what waits in the broker, looked at every second
- `rates`      how often a client may ask; `policies` has the numbers, `windows` counts, `ahead` for requests to come
- `attempts`   wrong proofs of who one is make the next one wait

Reads are never refused for what waits in the broker.
"""
