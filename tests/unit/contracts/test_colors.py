"""Contrast as WCAG has it, and that the backgrounds are those of the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prog_contracts.colors import AA, BACKGROUNDS, Theme, contrast, is_readable, nearest_readable

COLORS = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")
THEME_CSS = Path(__file__).parents[3] / "edge-api/frontend/css/theme.css"


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#ff0000", "#ff0000", 1),
    ],
)
def test_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == contrast(other, one) == pytest.approx(ratio, abs=0.005)


@given(COLORS, st.sampled_from(["light", "dark"]))
def test_there_is_a_readable_shade_of_every_colour(color: str, theme: Theme) -> None:
    near = nearest_readable(color, theme)
    assert is_readable(near, theme)
    assert (near == color) is is_readable(color, theme)
    assert all(contrast(near, background) >= AA for background in BACKGROUNDS[theme])


@given(COLORS)
def test_a_button_in_a_readable_colour_has_readable_text(color: str) -> None:
    if is_readable(color, "light"):
        assert contrast(color, "#ffffff") >= AA
    if is_readable(color, "dark"):
        assert contrast(color, "#0e0f11") >= AA


def test_the_backgrounds_are_those_of_the_pages() -> None:
    css = THEME_CSS.read_text()
    light, dark = (block.partition("}")[0] for block in css.split('@plugin "daisyui/theme" {')[1:3])
    hover = re.findall(r"--hover: (#[0-9a-f]{6})", css)
    for theme, block, hovered in (("light", light, hover[0]), ("dark", dark, hover[1])):
        names = ("base-100", "base-200", "secondary")
        used = {re.findall(rf"--color-{name}: (#[0-9a-f]{{6}})", block)[0] for name in names} | {hovered}
        assert used == set(BACKGROUNDS[theme])  # type: ignore[index]  # the two themes
