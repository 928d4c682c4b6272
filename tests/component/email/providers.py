"""A mail provider whose answers a test writes down beforehand, and which remembers what it was given."""

from collections.abc import Callable

from prog_workers.email.providers.port import (
    Absent,
    Accepted,
    FindResult,
    MailProvider,
    OutgoingMail,
    SendResult,
)


class ScriptedProvider:
    """Takes every mail, unless `answers` holds what comes next: an answer, or an exception as if the process died."""

    name = "scripted"

    def __init__(self) -> None:
        self.answers: list[SendResult | BaseException] = []
        self.found: FindResult = Absent()
        self.sent: list[OutgoingMail] = []
        self.asked: list[tuple[str, int]] = []
        self.before_sending: Callable[[], None] = lambda: None

    async def send(self, mail: OutgoingMail) -> SendResult:
        self.before_sending()
        answer = self.answers.pop(0) if self.answers else Accepted(f"taken-{len(self.sent) + 1}")
        if isinstance(answer, Accepted):
            self.sent.append(mail)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def find(self, message_id: str, mail_id: str, attempt: int) -> FindResult:
        self.asked.append((message_id, attempt))
        return self.found


_: MailProvider = ScriptedProvider()
