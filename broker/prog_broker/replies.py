"""How an answer travels back to the caller, and how it rests in the inbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import orjson

from prog_broker.outcome import Reply
from prog_contracts.errors import ErrorBody, Unavailable
from prog_kit import secrets

Status = Literal["succeeded", "failed", "pending", "dead", "dropped"]


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """The answer part of an inbox row. `result` and `error` are JSON text; a sealed result is opened by the client."""

    message_id: UUID
    status: Status
    result: str | None = None
    sealed_result: str | None = None
    error: str | None = None

    @classmethod
    def of_reply(cls, message_id: UUID, reply: Reply, sealer: secrets.Sealer) -> StoredAnswer:
        if reply.error is not None:
            return cls.of_error(message_id, reply.error.body())
        text = None if reply.result is None else orjson.dumps(reply.result).decode()
        status: Status = "pending" if reply.pending else "succeeded"
        if reply.sealed and text is not None:
            return cls(message_id, status, sealed_result=sealer.seal(text, secrets.REPLY))
        return cls(message_id, status, result=text)

    @classmethod
    def of_error(cls, message_id: UUID, error: ErrorBody, status: Status = "failed") -> StoredAnswer:
        return cls(message_id, status, error=error.model_dump_json())

    def for_message(self, message_id: UUID) -> StoredAnswer:
        """The same answer to another message, as those of one batch have it."""
        return StoredAnswer(message_id, self.status, self.result, self.sealed_result, self.error)

    def encode(self) -> bytes:
        """The message on the reply channel."""
        return orjson.dumps(
            {
                "id": str(self.message_id),
                "status": self.status,
                "result": None if self.result is None else orjson.Fragment(self.result),
                "sealed_result": self.sealed_result,
                "error": None if self.error is None else orjson.Fragment(self.error),
            }
        )


@dataclass(frozen=True, slots=True)
class Answer:
    """What the caller gets. `pending` also stands for accepted and not yet handled."""

    message_id: UUID
    status: Status
    result: dict[str, Any] | None = None
    error: ErrorBody | None = None


def open_answer(fields: dict[str, Any], sealer: secrets.Sealer) -> Answer:
    """An answer from the reply channel or from an inbox row (`id`, `status`, `result`, `sealed_result`, `error`)."""
    result = fields.get("result")
    if fields.get("sealed_result"):
        result = sealer.open(fields["sealed_result"], secrets.REPLY)
    error = fields.get("error")
    status: Status = fields["status"]
    body = ErrorBody.model_validate(_loaded(error)) if error is not None else None
    if status in ("dead", "dropped") and body is None:
        body = Unavailable("The request could not be completed; it is kept for an operator.").body()
    return Answer(UUID(str(fields["id"])), status, _loaded(result), body)


def _loaded(value: Any) -> Any:
    return orjson.loads(value) if isinstance(value, (str, bytes)) else value
