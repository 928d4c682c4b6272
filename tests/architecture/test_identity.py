"""The table of checks names tests that are there, and each check has tests of its name or says that it is not there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "infra/IDENTITY.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| .+ \| .+ \| (.+) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
CHECK = re.compile(r"^(?:async )?def test_check_(\w+?)_", re.MULTILINE)
ABSENT = "not there yet"


def test_all_twenty_five_checks_have_a_row() -> None:
    assert [int(number) for number, _ in ROW.findall(TEXT)] == list(range(1, 26))


def test_every_test_that_is_named_is_there() -> None:
    missing = []
    for path, name in NAMED.findall(TEXT):
        file = ROOT / path
        if not file.exists() or (name and not re.search(rf"^(async )?def {name}\(", file.read_text(), re.MULTILINE)):
            missing.append(f"{path}::{name}")
    assert missing == []


def test_every_row_names_tests_of_its_own_or_says_that_there_is_nothing() -> None:
    for number, proof in ROW.findall(TEXT):
        names = [name for _, name in NAMED.findall(proof)]
        if proof == ABSENT:
            assert int(number) not in numbers_tested(), f"{number} has tests: say in its row what the platform does"
        else:
            assert names, number
            assert {name[: len("test_check_00")] for name in names} == {f"test_check_{int(number):02}"}, number


def test_tests_of_a_check_have_its_two_digits() -> None:
    found = {number for file in (ROOT / "tests").rglob("test_*.py") for number in CHECK.findall(file.read_text())}
    assert found <= {f"{number:02}" for number in range(1, 26)}


def numbers_tested() -> set[int]:
    files = (ROOT / "tests").rglob("test_*.py")
    return {int(number) for file in files for number in CHECK.findall(file.read_text()) if number.isdecimal()}
