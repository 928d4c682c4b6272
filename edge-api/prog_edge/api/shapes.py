"""Shapes that many resources share: strict bodies, lists, money, and the parameters of lists."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, model_validator

from prog_contracts.inputs import EMAIL_MAX_LENGTH
from prog_edge import texts
from prog_edge.problems import MEDIA_TYPE

MAX_LIMIT: Final = 200

PROBLEM_CONTENT: Final[Mapping[str, Any]] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}

Item = TypeVar("Item")


class Body(BaseModel):
    """A request's body: unknown fields are refused, and characters that nothing can store."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, body: Any) -> Any:
        texts.check(body)
        return body


class Resource(BaseModel):
    """What the API answers with."""

    model_config = ConfigDict(frozen=True)


EmailAddress = Annotated[
    str,
    Field(
        min_length=1, max_length=EMAIL_MAX_LENGTH, examples=["ada@example.com"], json_schema_extra={"format": "email"}
    ),
]
"""What somebody gives as an address; `prog_contracts.inputs` says which ones are any good."""


class Listing(BaseModel, Generic[Item]):
    """One page of a list; `next_cursor` is null on the last one."""

    data: list[Item]
    next_cursor: str | None = Field(description="Send it as `cursor` to get the next page.")


class Paging(BaseModel):
    """Parameters of every list; those that the list does not know are refused."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(50, ge=1, le=MAX_LIMIT, description="How many to answer with, at most.")
    cursor: str | None = Field(None, max_length=1000, description="`next_cursor` of the page before.")


PagingQuery = Annotated[Paging, Query()]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem answers of a route, for OpenAPI. `contract` adds the schema that they refer to."""
    return {status: {"description": _MEANING[status], "content": PROBLEM_CONTENT} for status in statuses}


_MEANING: Final[Mapping[int, str]] = {
    400: "The request cannot be understood",
    401: "No credential, or one that is not good",
    403: "The caller may not do this",
    404: "There is no such thing, or none that the caller may know of",
    409: "The present state does not allow this",
    412: "Somebody else has changed it meanwhile",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "A field is wrong, or an Idempotency-Key was used with another body",
    428: "If-Match is missing",
    429: "Too many requests",
    503: "Something that is needed does not answer; try again",
}
