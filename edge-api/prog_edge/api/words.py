"""The little Markdown of our descriptions as HTML: paragraphs, `code` and **strong**. Everything else is text."""

from __future__ import annotations

import re
from typing import Final

from markupsafe import Markup, escape

_MARK: Final = re.compile(r"\*\*(?P<strong>[^*]+)\*\*|`(?P<code>[^`]+)`")


def paragraphs(text: str) -> Markup:
    """One `p` for each block of lines."""
    blocks = [" ".join(block.split()) for block in text.split("\n\n")]
    return Markup("").join(Markup("<p>{}</p>").format(inline(block)) for block in blocks if block)


def inline(text: str) -> Markup:
    """`text` with its marks as elements."""
    parts: list[Markup] = []
    position = 0
    for match in _MARK.finditer(text):
        parts.append(escape(text[position : match.start()]))
        kind = "strong" if match["strong"] else "code"
        parts.append(Markup("<{0}>{1}</{0}>").format(Markup(kind), match[kind]))  # noqa: S704 - one of two words
        position = match.end()
    parts.append(escape(text[position:]))
    return Markup("").join(parts)


def breakable(path: str) -> Markup:
    """A path that may break before its slashes."""
    return Markup("<wbr>/").join(path.split("/"))
