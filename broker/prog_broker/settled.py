"""What is to be told after a batch is committed: positions, answers, dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prog_broker.decoding import Incoming, Rejected
from prog_broker.ports import AddressedReply, Delivery
from prog_broker.replies import StoredAnswer


@dataclass(slots=True)
class Settled:
    """What is to be told to the broker after the commit."""

    receipts: list[bytes] = field(default_factory=list)
    answers: list[AddressedReply] = field(default_factory=list)
    appended: bool = False
    buried: list[Delivery] = field(default_factory=list)
    retry_in_seconds: float | None = None
    left: list[Incoming] = field(default_factory=list)
    """Not begun, and not settled: they are to be handled later."""

    def add(self, other: Settled) -> None:
        self.receipts += other.receipts
        self.answers += other.answers
        self.left += other.left
        self.buried += other.buried
        self.appended = self.appended or other.appended
        if other.retry_in_seconds is not None:
            self.retry_in_seconds = min(self.retry_in_seconds or other.retry_in_seconds, other.retry_in_seconds)


def addressed(items: Sequence[Incoming], answers: Sequence[tuple[StoredAnswer, int]]) -> list[AddressedReply]:
    """The answers of those messages whose sender waits for one."""
    channels = {item.envelope.id: item.envelope.reply_to for item in items if item.envelope.reply_to}
    return [
        AddressedReply(channel, answer.encode())
        for answer, _ in answers
        if (channel := channels.get(answer.message_id)) is not None
    ]


def refusal(item: Rejected) -> list[AddressedReply]:
    """What the sender of a message that could not be understood is told."""
    envelope = item.envelope
    if envelope is None or envelope.reply_to is None or item.error is None:
        return []
    return [AddressedReply(envelope.reply_to, StoredAnswer.of_error(envelope.id, item.error).encode())]
