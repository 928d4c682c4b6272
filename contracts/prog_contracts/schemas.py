"""The JSON Schema of every message, as it is committed in `contracts/schemas` and served by the API.

documents()["users/user_created.v1.json"]      # the schema, with what else is fixed about the message
stale(Path("contracts/schemas"))               # what differs from the committed files, and what breaks
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from prog_contracts import asyncapi
from prog_contracts.catalogue import __all__ as _domains  # noqa: F401 - fills the registry
from prog_contracts.compatibility import EXTENSION, Problem, problems
from prog_contracts.messages import Command, Message, all_messages
from prog_contracts.topics import topic_of

ASYNCAPI_FILE: Final = "asyncapi.json"
_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def file_name(model: type[Message]) -> str:
    """Where a message's schema is kept, below `contracts/schemas`."""
    return f"{model.domain()}/{model.TYPE.rpartition('.')[2]}.v{model.VERSION}.json"


def schema(model: type[Message]) -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a message's body, and under `x-prognetwork` what else is fixed about it.

    It describes what a reader accepts; a writer leaves out fields that are None.
    """
    facts = {
        "type": model.TYPE,
        "version": model.VERSION,
        "kind": "command" if issubclass(model, Command) else "event",
        "topic": topic_of(model).name,
        "key": model.KEY,
        "subject": model.SUBJECT,
    }
    return {"$schema": _DIALECT, **model.model_json_schema(), EXTENSION: facts}


def documents() -> dict[str, dict[str, Any]]:
    """Every file of `contracts/schemas` by its name: the schemas and the AsyncAPI document."""
    found = {file_name(model): schema(model) for model in all_messages()}
    found[ASYNCAPI_FILE] = asyncapi.document()
    return found


def render(document: Mapping[str, Any]) -> str:
    """The text of a file: stable, one line a value, so that a change reads well in review."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Difference:
    """A file that does not say what the code says. `breaking` is empty when writing it anew is a compatible change."""

    name: str
    reason: str
    breaking: tuple[Problem, ...] = ()


def stale(directory: Path) -> list[Difference]:
    """What in `directory` differs from the code."""
    return _differences(directory, documents())


def write(directory: Path) -> list[str]:
    """Writes what differs compatibly; returns the names. Files that differ otherwise, or have no code, stay."""
    wanted = documents()
    written = []
    for difference in _differences(directory, wanted):
        if not difference.breaking:
            path = directory / difference.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(render(wanted[difference.name]), encoding="utf-8")
            written.append(difference.name)
    return written


def _differences(directory: Path, wanted: Mapping[str, Mapping[str, Any]]) -> list[Difference]:
    there = {path.relative_to(directory).as_posix() for path in directory.rglob("*.json")}
    found = [
        Difference(name, "no code stands behind this file", (Problem("", "message_removed", "the message is gone"),))
        for name in sorted(there - set(wanted))
    ]
    for name, document in wanted.items():
        if name not in there:
            found.append(Difference(name, "the file is missing"))
            continue
        text = (directory / name).read_text(encoding="utf-8")
        if text != render(document):
            breaking = () if name == ASYNCAPI_FILE else tuple(problems(json.loads(text), document))
            found.append(Difference(name, "the file differs from the code", breaking))
    return found
