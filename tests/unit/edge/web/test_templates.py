"""Rules for every template's source: what the policy forbids is not even written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from prog_edge import web
from prog_edge.web.ui.rendering import ENVIRONMENT

ICON = re.compile(r"""\b(?:icon|empty)\("([a-z-]+)\"""")
"""Where a template names an icon itself."""
TEMPLATES = sorted(Path(web.__file__).parent.glob("*/templates/**/*.html"))


def test_there_are_templates() -> None:
    assert len(TEMPLATES) > 30


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_a_template_has_nothing_inline(path: Path) -> None:
    source = path.read_text(encoding="utf-8")

    for forbidden, why in {
        r"\sstyle\s*=": "an inline style",
        r"<style": "an inline style sheet",
        r"\son[a-z]+\s*=": "an inline handler",
        r"hx-on": "hx-on evaluates strings",
        r"""["'\s]js:""": "js: evaluates strings",
        r"hx-trigger=\"[^\"]*\[": "a trigger filter evaluates strings",
        r"javascript:": "a script address",
        r"https?://(?!www\.w3\.org)": "an address elsewhere",
    }.items():
        assert not re.search(forbidden, source), f"{path.name}: {why}"
    for script in re.findall(r"<script[^>]*>", source):
        assert 'nonce="{{ chrome.nonce }}"' in script, script
    if path.name != "macros.html":
        assert "safe }}" not in source, "only the icons' constant paths are marked safe"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: f"{path.parent.parent.name}/{path.name}")
def test_a_template_names_icons_that_there_are(path: Path) -> None:
    """A page with another one does not come at all."""
    known = ENVIRONMENT.get_template("ui/macros.html").module.icons  # type: ignore[attr-defined]  # set in the template
    assert set(ICON.findall(path.read_text(encoding="utf-8"))) <= set(known)
