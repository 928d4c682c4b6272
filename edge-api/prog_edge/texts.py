"""Characters that no text of a request may hold: U+0000, which PostgreSQL cannot store, and unpaired surrogates, which
have no form in UTF-8. They are refused at the door, before they become part of a message that nobody can store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from prog_contracts.errors import FieldError, Invalid

CODE: Final = "forbidden_character"
_FORBIDDEN: Final = re.compile("[\x00\ud800-\udfff]")
_MESSAGE: Final = "This holds a character that cannot be stored."
_MAX_NAMED: Final = 20


def is_clean(text: str) -> bool:
    return (text.isascii() and "\0" not in text) or _FORBIDDEN.search(text) is None


def cleaned(text: str) -> str:
    """The text with a mark in place of each forbidden character, so that it can be shown."""
    return _FORBIDDEN.sub("\ufffd", text)


def forbidden(field: str) -> FieldError:
    return FieldError(field=cleaned(field), code=CODE, message=_MESSAGE)


def check(body: object) -> None:
    """Raises Invalid that names the fields of a JSON body, the names of its members included, which are not clean."""
    found = [forbidden(path or "body") for path, text in _texts(body) if not is_clean(text)]
    if found:
        raise Invalid(f"{found[0].field}: {_MESSAGE}", fields=found[:_MAX_NAMED])


def _texts(body: object) -> Iterator[tuple[str, str]]:
    """Every text with its dotted path. Without recursion: how deep a body goes is its sender's choice."""
    waiting: list[tuple[str, object]] = [("", body)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            for name, item in reversed(value.items()):
                inner = f"{path}.{name}" if path else str(name)
                waiting += ((inner, item), (inner, name))
        elif isinstance(value, list):
            waiting += ((f"{path}.{number}" if path else str(number), value[number]) for number in range(len(value)))
