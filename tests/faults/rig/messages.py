"""The rig's own message types, on two of the platform's topics.

Only the rig's processes import this: registering it in a process that looks at the platform's contracts would add to
them.
"""

from __future__ import annotations

import random
from typing import Final, Literal

from prog_contracts.messages import Command, Event, command, event

Behaviour = Literal["plain", "flaky", "defect", "mended", "refused", "charge"]
"""What the handler does with a message: takes it; fails twice and then takes it; always fails; fails until an operator
has mended its body; refuses it; calls the provider."""

_COMMANDS: tuple[tuple[float, Behaviour], ...] = (
    (0.004, "flaky"), (0.006, "defect"), (0.008, "mended"), (0.013, "refused"), (0.063, "charge"),
)  # fmt: skip
_EVENTS: tuple[tuple[float, Behaviour], ...] = ((0.003, "flaky"), (0.004, "defect"), (0.005, "mended"))
SURE_TO_DIE: Final = 3
"""The number of the message, within its key."""


@command("prognetwork.tenants.faults_move", key="key")
class Move(Command):
    """Is applied in `tenants` and causes a `Moved`."""

    key: str
    sequence: int
    behaviour: Behaviour = "plain"


@command("prognetwork.tenants.faults_charge", key="key")
class Charge(Command):
    """Has `tenants` call the provider, and causes a `Moved`."""

    key: str
    sequence: int
    behaviour: Behaviour = "charge"


@event("prognetwork.tenants.faults_moved", key="key")
class Moved(Event):
    """A command was applied."""

    key: str
    sequence: int


@event("prognetwork.users.faults_noted", key="key")
class Noted(Event):
    """An event that a producer appended to the event log, as a domain does."""

    key: str
    sequence: int
    behaviour: Behaviour = "plain"


def behaviour_of(seed: int, key: str, sequence: int, *, of_event: bool = False) -> Behaviour:
    """What the message is to do, from the seed alone: the same in every run and after every restart.

    One command of each producer is a defect in any run: in a brief one chance alone might have none that dies.
    """
    if not of_event and key.endswith(".0") and sequence == SURE_TO_DIE:
        return "defect"
    chance = random.Random(f"{seed}/{key}/{sequence}").random()
    shares = _EVENTS if of_event else _COMMANDS
    return next((behaviour for share, behaviour in shares if chance < share), "plain")
