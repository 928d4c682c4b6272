"""What the rooms say to each other: messages, the envelope that carries them, topics, ids, money and errors.

Every other package may import this one; it imports nothing of the project and does no I/O.
A product that is built on ProgNetwork needs only this package and `prog_broker` to publish and consume.

- `ids`       TypeIDs for objects, UUIDv7 for messages
- `errors`    the one error tree (`code`, `kind`, fields)
- `money`     integer minor units with a currency
- `messages`  base classes and the registry of message types
- `envelope`  CloudEvents 1.0 attributes around a body
- `examples`  an example of every message
- `signing`   the signatures of known producers
- `topics`    the topic table: partitions, retention, who consumes what
- one module a domain: `users`, `tenants`, `payments`, `email`, `monitoring`, `events`
"""

from prog_contracts.envelope import Envelope
from prog_contracts.errors import Conflict, Denied, Invalid, NotFound, ProgError, Unavailable
from prog_contracts.ids import PLATFORM_TENANT_ID, new_id, new_message_id
from prog_contracts.messages import Command, Event, Message
from prog_contracts.money import Money

__all__ = [
    "PLATFORM_TENANT_ID",
    "Command",
    "Conflict",
    "Denied",
    "Envelope",
    "Event",
    "Invalid",
    "Message",
    "Money",
    "NotFound",
    "ProgError",
    "Unavailable",
    "new_id",
    "new_message_id",
]
