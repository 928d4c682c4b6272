"""What the overview says of a server fits on one line."""

from __future__ import annotations

import pytest

from prog_edge.services import _running


@pytest.mark.parametrize(
    ("version", "seconds", "text"),
    [
        ("18.4 (Debian 18.4-1.pgdg13+1)", 185, "18.4, up 3 minutes"),
        ("9.0.1", 1, "9.0.1, up 1 second"),
        ("9.0.1", 90_000, "9.0.1, up 1 day"),
    ],
)
def test_a_server_is_told_by_its_version_and_age(version: str, seconds: int, text: str) -> None:
    assert _running(version, seconds) == text
