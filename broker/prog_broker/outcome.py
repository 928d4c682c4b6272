"""What a handler may return."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from prog_contracts.errors import ProgError
from prog_contracts.messages import Event, Message


@dataclass(frozen=True, slots=True, init=False)
class Reply:
    """An answer for the caller that is not simply the first event.

    `result` goes to whoever waits for the command and is kept with it; `sealed` encrypts it on the way and at rest,
    for credentials. `pending` leaves the operation open: a later command completes it through
    `Transaction.complete_operation`. `error` refuses the command and keeps what the handler wrote and returned, as
    the record of a failed sign-in must be; raising the error undoes both.
    """

    result: dict[str, Any] | None
    messages: tuple[Message, ...] = field(default=())
    sealed: bool = False
    pending: bool = False
    error: ProgError | None = None

    def __init__(
        self,
        result: BaseModel | dict[str, Any] | None,
        *messages: Message,
        sealed: bool = False,
        pending: bool = False,
        error: ProgError | None = None,
    ) -> None:
        value = result.model_dump(mode="json") if isinstance(result, BaseModel) else result
        object.__setattr__(self, "result", value)
        object.__setattr__(self, "messages", messages)
        object.__setattr__(self, "sealed", sealed)
        object.__setattr__(self, "pending", pending)
        object.__setattr__(self, "error", error)


Outcome = Reply | Message | Sequence[Message] | None
"""Events to append, commands for other domains among them, an explicit reply, or nothing."""


def settle(outcome: Outcome) -> Reply:
    """The same outcome as a reply: without an explicit one the first event's body is the answer."""
    if isinstance(outcome, Reply):
        return outcome
    messages: tuple[Message, ...]
    if outcome is None:
        messages = ()
    elif isinstance(outcome, Message):
        messages = (outcome,)
    else:
        messages = tuple(outcome)
    first = next((message for message in messages if isinstance(message, Event)), None)
    return Reply(first, *messages)
