"""The one error tree.

An error has a `kind`, which decides what the broker and the edge do with it, and a `code`, a stable slug that programs
match. HTTP statuses are known in the edge alone; retries and dead letters in the broker alone.

| kind        | a command's caller gets | the broker |
|-------------|-------------------------|------------|
| invalid     | the answer              | settles the message, no retry |
| denied      | the answer              | settles the message, no retry |
| not_found   | the answer              | settles the message, no retry |
| conflict    | the answer              | settles the message, no retry |
| unavailable | waits                   | retries with backoff, then dead letter |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict

Kind = Literal["invalid", "denied", "not_found", "conflict", "unavailable"]


class FieldError(BaseModel):
    """What is wrong with one field of the input. `field` is a dotted path, `code` a slug."""

    model_config = ConfigDict(frozen=True)

    field: str
    code: str
    message: str


class ErrorBody(BaseModel):
    """An error as it travels in a reply, an inbox row and an operation."""

    model_config = ConfigDict(frozen=True)

    kind: Kind
    code: str
    message: str
    fields: tuple[FieldError, ...] = ()


class ProgError(Exception):
    """The root. `message` is for people and carries the remedy where there is one; it never holds a secret."""

    kind: ClassVar[Kind] = "unavailable"
    default_code: ClassVar[str] = "unavailable"

    def __init__(self, message: str, *, code: str | None = None, fields: Sequence[FieldError] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.fields = tuple(fields)

    @classmethod
    def field(cls, field: str, code: str, message: str) -> Self:
        """An error about one field of the input."""
        return cls(message, fields=[FieldError(field=field, code=code, message=message)])

    def body(self) -> ErrorBody:
        return ErrorBody(kind=self.kind, code=self.code, message=self.message, fields=self.fields)


class Invalid(ProgError):
    """The request cannot be understood or breaks a rule that its sender can mend."""

    kind = "invalid"
    default_code = "invalid"


class Denied(ProgError):
    """The actor may not do this. `code` `unauthenticated` means that nobody is signed in."""

    kind = "denied"
    default_code = "denied"


class NotFound(ProgError):
    """There is no such thing, or none that this actor may know of."""

    kind = "not_found"
    default_code = "not_found"


class Conflict(ProgError):
    """The state of the thing does not allow this now."""

    kind = "conflict"
    default_code = "conflict"


class Unavailable(ProgError):
    """Something that is needed does not answer; trying again later may help."""

    kind = "unavailable"
    default_code = "unavailable"


_BY_KIND: dict[str, type[ProgError]] = {cls.kind: cls for cls in (Invalid, Denied, NotFound, Conflict, Unavailable)}


def from_body(body: ErrorBody | dict[str, Any]) -> ProgError:
    """The exception that a received error body stands for."""
    parsed = body if isinstance(body, ErrorBody) else ErrorBody.model_validate(body)
    return _BY_KIND[parsed.kind](parsed.message, code=parsed.code, fields=parsed.fields)
