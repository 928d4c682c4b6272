"""How deep tests look: what is said, what is not said, and what CI says."""

from pathlib import Path

import pytest

from tests.depth import VARIABLE, by_depth

CI = Path(__file__).parents[2] / ".ci/run"


@pytest.mark.parametrize(("said", "chosen"), [(None, 3), ("usual", 3), ("thorough", 8)])
def test_the_usual_one_unless_thorough_is_asked_for(
    said: str | None, chosen: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if said is not None:
        monkeypatch.setenv(VARIABLE, said)
    assert by_depth(usual=3, thorough=8) == chosen


def test_what_is_no_depth_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "deep")
    with pytest.raises(ValueError, match="'deep'; choose from usual, thorough"):
        by_depth(usual=3, thorough=8)


def test_ci_looks_thoroughly() -> None:
    [tested] = [line for line in CI.read_text().splitlines() if " task test " in line]
    assert f"{VARIABLE}=thorough " in tested
    assert "PROG_TEST_NO_SKIP=1 " in tested
