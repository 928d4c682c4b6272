"""Colours for the code on our pages: JSON of messages and short Python samples, as spans with classes."""

from __future__ import annotations

import json
import keyword
import re
from typing import Any, Final

from markupsafe import Markup, escape

_JSON_TOKEN: Final = re.compile(
    r'(?P<name>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\b\d[\d.eE+-]*\b)'
    r"|(?P<keyword>\b(?:true|false|null)\b)"
)
_PYTHON_TOKEN: Final = re.compile(
    r'(?P<comment>#[^\n]*)|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<decorator>@[\w.]+)'
    r"|(?P<call>\b[A-Za-z_]\w*(?=\())|(?P<word>\b[A-Za-z_]\w*\b)"
)


def highlight_json(value: Any) -> Markup:
    """`value` as indented JSON with coloured names and values."""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return _coloured(text, _JSON_TOKEN, lambda kind, _: f"c-{kind}")


def highlight_python(text: str) -> Markup:
    def style(kind: str, token: str) -> str | None:
        if kind == "word":
            return "c-keyword" if keyword.iskeyword(token) else None
        return f"c-{kind}"

    return _coloured(text, _PYTHON_TOKEN, style)


def _coloured(text: str, pattern: re.Pattern[str], style: Any) -> Markup:
    parts: list[Markup] = []
    position = 0
    for match in pattern.finditer(text):
        parts.append(escape(text[position : match.start()]))
        css_class = style(match.lastgroup or "", match[0])
        parts.append(
            Markup('<span class="{}">{}</span>').format(css_class, match[0]) if css_class else escape(match[0])
        )
        position = match.end()
    parts.append(escape(text[position:]))
    return Markup("").join(parts)
