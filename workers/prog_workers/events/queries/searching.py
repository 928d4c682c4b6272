"""What a search field of a list of messages may mean: an id, or a part of a type's name."""

from __future__ import annotations

from uuid import UUID

from prog_contracts.catalogue import __all__ as _domains  # noqa: F401 - fills the registry
from prog_contracts.messages import Message, all_messages


def as_message_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def types_with(text: str, kind: type[Message]) -> list[str]:
    """The platform's types of a kind (Command, Event) that have `text` in their name, whatever its case."""
    wanted = text.lower()
    return sorted({known.TYPE for known in all_messages() if issubclass(known, kind) and wanted in known.TYPE.lower()})
