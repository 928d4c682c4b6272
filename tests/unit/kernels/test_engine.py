"""Kernels run before Numba is there, and compiled code is only ever loaded from a place of our own."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from prog_kernels import engine, reference, selection


def test_importing_the_kernels_does_not_import_numba() -> None:
    code = "import sys, prog_kernels.histograms, prog_kernels.engine; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_numpy_answers_until_the_compiled_kernels_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_current", reference)
    monkeypatch.setattr(engine, "_thread", None)
    assert not selection.is_compiled()
    thread = engine.warm()
    assert engine.warm() is thread
    thread.join(120)
    assert selection.is_compiled()


def test_without_numba_the_process_goes_on_with_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(selection, "_current", reference)
    monkeypatch.setattr(engine, "_thread", None)
    monkeypatch.setattr(engine, "import_module", refuse)
    engine.warm().join(120)
    assert selection.kernels() is reference


def test_the_cache_is_where_the_user_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert engine.cache_directory() == tmp_path


def test_the_cache_is_the_users_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    directory = engine.cache_directory()
    assert directory == tmp_path / "prognetwork" / "numba"
    assert directory.stat().st_mode & 0o077 == 0


def test_a_cache_that_others_may_write_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    shared = tmp_path / "prognetwork" / "numba"
    shared.mkdir(parents=True)
    shared.chmod(0o777)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    instead = engine.cache_directory()
    assert instead.parent == tmp_path
    assert instead.stat().st_mode & 0o077 == 0


def test_a_home_that_cannot_be_written_is_no_obstacle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert engine.cache_directory().parent == tmp_path
