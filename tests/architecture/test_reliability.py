"""The table of requirements names tests that are there, and all thirty of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "infra/RELIABILITY.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| .+ \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def test_all_thirty_requirements_have_a_row() -> None:
    assert [int(number) for number, _ in ROW.findall(TEXT)] == list(range(1, 31))


def test_every_test_that_is_named_is_there() -> None:
    missing = []
    for path, name in NAMED.findall(TEXT):
        file = ROOT / path
        if not file.exists() or (name and not re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE)):
            missing.append(f"{path}::{name}")
    assert missing == []


def test_every_row_names_a_test_or_the_rig() -> None:
    assert [
        number for number, proof in ROW.findall(TEXT) if not NAMED.search(proof) and not proof.startswith("rig")
    ] == []
