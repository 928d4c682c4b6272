"""Whether a colour can be read on another, as WCAG 2.2 measures it, and the nearest shade that can.

Colours are `#rrggbb` in lower case. The backgrounds are those of the pages (`edge-api/frontend/css/theme.css`) and of
the mails; a test holds them against the stylesheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

AA: Final = 4.5
"""The least contrast of text (WCAG 2.2, success criterion 1.4.3, level AA)."""

Theme = Literal["light", "dark"]
BACKGROUNDS: Final[dict[Theme, tuple[str, ...]]] = {
    "light": ("#ffffff", "#f8f8f6", "#f2f1ed", "#eeede9"),
    "dark": ("#16171a", "#0e0f11", "#1e2024", "#25272b"),
}
"""What text in an accent colour stands on, and what text on an accent colour is written in: the first, or near it."""

_STEPS: Final = 64


def luminance(color: str) -> float:
    """Relative luminance, 0 for black and 1 for white (WCAG 2.2)."""
    channels = (int(color[start : start + 2], 16) / 255 for start in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def worst(color: str, backgrounds: Sequence[str]) -> tuple[float, str]:
    """The least contrast of a colour with any of these, and with which."""
    return min((contrast(color, background), background) for background in backgrounds)


def is_readable(color: str, theme: Theme) -> bool:
    """Whether text in this colour can be read on every background of the theme."""
    return worst(color, BACKGROUNDS[theme])[0] >= AA


def nearest_readable(color: str, theme: Theme) -> str:
    """The colour, or the shade nearest to it that can be read: darker in the light theme, lighter in the dark."""
    end = "#000000" if theme == "light" else "#ffffff"
    shades = (_mixed(color, end, step / _STEPS) for step in range(_STEPS + 1))
    return next(shade for shade in shades if is_readable(shade, theme))


def _mixed(color: str, other: str, share: float) -> str:
    pairs = ((int(color[at : at + 2], 16), int(other[at : at + 2], 16)) for at in (1, 3, 5))
    return "#" + "".join(f"{round(one + (two - one) * share):02x}" for one, two in pairs)
