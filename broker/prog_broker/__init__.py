"""Messages with guarantees: order per key, effects once, nothing lost. Publish, handle, relay, retry, dead letters.

Programs outside the platform use `Bus`. The platform's handlers use `Domain`, `Transaction`, `Reply` and `Work`; its
senders use `prog_broker.client`, its processes `prog_broker.worker` and `prog_broker.relay`. What stands behind is one
concept a file:

- `bus`         a program of somebody's own: publish and consume with the broker alone
- `decoding`    bytes to messages, or the reason why not
- `processing`  one transaction around inbox, handlers and event log
- `settlement`  retries, the line behind a failed key, dead letters
- `breaker`     a subscription whose messages fail pauses
- `intake`      what a shard has read ahead: tenants take turns, bytes are bounded
- `reading`     when a shard is read, and from where
- `replaying`   the event log run again into a group
- `retrying`    the pump that runs retries when they are due
- `leases`      which worker owns which shard, with fencing
- `relay`       the event log to the broker, in commit order
- `ports`       what a broker must do; `redis` and `kafka` are the adapters
"""

from prog_broker.bus import Bus
from prog_broker.domain import Domain, Finish, Work
from prog_broker.outcome import Outcome, Reply
from prog_broker.transaction import Transaction

__all__ = ["Bus", "Domain", "Finish", "Outcome", "Reply", "Transaction", "Work"]
