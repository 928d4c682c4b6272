"""The bounded log files of the supervised processes."""

import errno
from pathlib import Path

import pytest

from prog_infra.local.logs import BoundedLog


def test_a_log_never_grows_past_its_limit_and_keeps_the_last_file(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "edge.log", limit_bytes=1000)
    for number in range(100):
        log.write(f"line {number:03}\n".encode() * 5)
    log.close()
    kept = (tmp_path / "edge.log.1").read_text() + (tmp_path / "edge.log").read_text()
    assert max(file.stat().st_size for file in tmp_path.iterdir()) <= 1000
    assert kept.endswith("line 099\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["edge.log", "edge.log.1"]


def test_the_last_line_is_of_this_life_alone(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "edge.log")
    log.write(b"first life\n")
    log.begin_life(None)
    assert log.last_line() == "it said nothing"
    log.write(b"second\n\n")
    assert log.last_line() == "second"
    log.close()


def test_what_is_awaited_is_heard_even_when_it_comes_in_two_pieces(tmp_path: Path) -> None:
    log = BoundedLog(tmp_path / "worker.log")
    log.begin_life(b'"event": "ready"')
    log.write(b'{"event": "re')
    assert not log.has_said_awaited()
    log.write(b'ady"}\n')
    assert log.has_said_awaited()
    log.close()


def test_a_full_disk_loses_lines_and_says_so_but_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = BoundedLog(tmp_path / "edge.log")
    monkeypatch.setattr(log, "_append", _disk_full)
    log.write(b"lost\n")
    assert log.trouble == "no space left on device"
    assert log.last_line() == "lost"
    monkeypatch.undo()
    log.write(b"kept\n")
    assert log.trouble == ""
    log.close()
    assert (tmp_path / "edge.log").read_text() == "kept\n"


def _disk_full(_: bytes) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
