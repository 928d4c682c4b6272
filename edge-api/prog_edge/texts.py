"""What no body may be, whatever its route: deeper than anybody means it, or with characters that cannot be stored.

Characters that no text of a request may hold: U+0000, which PostgreSQL cannot store, and unpaired surrogates, which
have no form in UTF-8. They are refused at the door, before they become part of a message that nobody can store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from prog_contracts.errors import FieldError, Invalid

CODE: Final = "forbidden_character"
MAX_DEPTH: Final = 100
"""Arrays and objects in one another."""
TOO_DEEP: Final = f"A body has at most {MAX_DEPTH} arrays and objects in one another."
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
    """Raises Invalid that names the fields of a JSON body, the names of its members included, which are not clean.

    A body that goes too deep is refused as a whole.
    """
    found = [forbidden(path or "body") for path, text in _texts(body) if not is_clean(text)]
    if found:
        raise Invalid(f"{found[0].field}: {_MESSAGE}", fields=found[:_MAX_NAMED])


def _texts(body: object) -> Iterator[tuple[str, str]]:
    """Every text with its dotted path. Without recursion: how deep a body goes is its sender's choice."""
    waiting: list[tuple[str, object, int]] = [("", body, 0)]
    while waiting:
        path, value, depth = waiting.pop()
        if isinstance(value, str):
            yield path, value
            continue
        if not isinstance(value, dict | list):
            continue
        depth += 1
        if depth > MAX_DEPTH:
            raise Invalid.field("body", "too_deep", TOO_DEEP)
        if isinstance(value, dict):
            for name, item in reversed(value.items()):
                inner = f"{path}.{name}" if path else str(name)
                waiting += ((inner, item, depth), (inner, name, depth))
        else:
            places = (f"{path}.{number}" if path else str(number) for number in range(len(value)))
            waiting += ((place, item, depth) for place, item in zip(places, value, strict=True))
