"""Kinds of changes. A change knows the operations that it is about, and goes both ways within JSON bodies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from prog_contracts.errors import Invalid

Operation = tuple[str, str]
"""Method and the template of the path."""


class Change(Protocol):
    """One small step between two neighbouring versions."""

    @property
    def operations(self) -> frozenset[Operation]:
        """The operations that it is about."""

    @property
    def place(self) -> Literal["request", "answer"]:
        """Which of the two it changes."""

    @property
    def text(self) -> str:
        """What has changed, for whoever moves to the newer version."""

    def upgrade(self, body: Any) -> None:
        """Makes a request's body of the older version one of the newer, in place. Raises Invalid."""

    def downgrade(self, body: Any) -> None:
        """Makes an answer's body of the newer version one of the older, in place."""

    def older_field(self, field: str) -> str:
        """What a field of a request is called in the older version, for what is said to be wrong with it."""


@dataclass(frozen=True, slots=True)
class Renamed:
    """A field has another name; in the object itself or, where the answer is a list, in each that it lists."""

    operations: frozenset[Operation]
    place: Literal["request", "answer"]
    older: str
    newer: str
    text: str

    def upgrade(self, body: Any) -> None:
        if self.place != "request" or not isinstance(body, dict):
            return
        if self.newer in body:
            raise Invalid.field(
                self.newer, "unknown_field", "There is no such field in the version that was asked for."
            )
        if self.older in body:
            body[self.newer] = body.pop(self.older)

    def downgrade(self, body: Any) -> None:
        if self.place != "answer" or not isinstance(body, dict):
            return
        for item in body["data"] if isinstance(body.get("data"), list) else [body]:
            if isinstance(item, dict) and self.newer in item:
                _rename(item, self.newer, self.older)

    def older_field(self, field: str) -> str:
        return self.older if self.place == "request" and field == self.newer else field


def _rename(item: dict[str, Any], name: str, other: str) -> None:
    """Keeps the order of the fields."""
    fields = [(other if key == name else key, value) for key, value in item.items()]
    item.clear()
    item.update(fields)
