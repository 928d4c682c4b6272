"""The producers' notebook: durable line by line, and readable after a kill in the middle of one."""

from __future__ import annotations

from pathlib import Path

from tests.faults.rig import notebook
from tests.faults.rig.notebook import Note, Notebook


async def test_what_was_noted_and_accepted_is_read_again(tmp_path: Path) -> None:
    book = Notebook(tmp_path / "sent")
    await book.note(id="a", key="k", sequence=1, behaviour="plain", at=1.0)
    await book.note(id="b", key="k", sequence=2, behaviour="flaky", at=2.0)
    await book.note(id="a", accepted="succeeded")
    book.close()
    assert notebook.read(tmp_path / "sent") == {
        "a": Note("a", "k", 1, "plain", 1.0, "succeeded"),
        "b": Note("b", "k", 2, "flaky", 2.0, None),
    }


async def test_a_line_that_a_kill_cut_short_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "sent"
    await noted(path, "a", 1)
    with path.open("ab") as file:
        file.write(b'{"id":"b","key":"k","sequ')
    assert set(notebook.read(path)) == {"a"}
    await noted(path, "c", 2)
    assert set(notebook.read(path)) == {"a", "c"}


async def noted(path: Path, message_id: str, sequence: int) -> None:
    book = Notebook(path)
    await book.note(id=message_id, key="k", sequence=sequence, behaviour="plain", at=1.0)
    book.close()
