"""Replays: messages of the event log run again in a consumer group, exactly once each, with nothing leaving it.

A replay is a row that says what runs where, how far it is and who asked (`records`). A worker of the group takes it
under a lease (`running`) and runs batches: handlers and cursor are one transaction, so a killed worker's successor goes
on where it ended. Which messages those are follows from what the handlers allow (`selection`).

A replay that rebuilds a projection begins by emptying it. From then until it has caught up, live batches leave its
messages to it (`holding`); the inbox remembers who has handled what, so at the switch nothing is lost or doubled.
"""

from prog_broker.replaying.holding import without_left_to_replay
from prog_broker.replaying.records import (
    Replay,
    ReplayRequest,
    State,
    cancel,
    check_group,
    found,
    listed,
    pause,
    resume,
    shown,
    start,
)
from prog_broker.replaying.running import ReplayRunner
from prog_broker.replaying.selection import Scope

__all__ = [
    "Replay",
    "ReplayRequest",
    "ReplayRunner",
    "Scope",
    "State",
    "cancel",
    "check_group",
    "found",
    "listed",
    "pause",
    "resume",
    "shown",
    "start",
    "without_left_to_replay",
]
