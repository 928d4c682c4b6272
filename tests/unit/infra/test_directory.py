"""The data directory: who may use it, what it keeps, and what it says when it cannot."""

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from prog_infra import local
from prog_infra.errors import OperatorError
from prog_infra.local import directory as module
from prog_infra.local.directory import DataDirectory
from prog_infra.local.terminal import Terminal


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[DataDirectory]:
    directory = DataDirectory(tmp_path / "with a space")
    directory.open()
    yield directory
    directory.close()


def test_secrets_and_sign_in_are_made_once_and_readable_by_the_owner_alone(directory: DataDirectory) -> None:
    keys, sign_in = directory.secret_keys(), directory.administrator()
    assert (directory.secret_keys(), directory.administrator()) == (keys, sign_in)
    assert len(keys) == 64
    for name in ("secrets.json", "administrator.json"):
        assert (directory.path / name).stat().st_mode & 0o777 == 0o600


def test_the_command_to_type_next_finds_this_data(
    directory: DataDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    variables = {"PROG_PUBLIC_URL": "http://127.0.0.1:9000/"}
    Terminal().ready(variables, directory, 1.0)
    assert f"prog demo --data '{directory.path}'    stop with" in capsys.readouterr().out
    usual = DataDirectory(Path(".prog"))
    usual.path.mkdir()
    Terminal().ready(variables, usual, 1.0)
    assert "prog demo    stop with" in capsys.readouterr().out


def test_the_sign_in_stays_the_same_until_and_after_the_account_is_confirmed(directory: DataDirectory) -> None:
    sign_in = directory.administrator()
    assert not directory.has_administrator()
    directory.confirm_administrator()
    assert directory.has_administrator()
    assert directory.administrator() == sign_in


def test_a_second_user_of_the_same_data_is_refused_and_named(directory: DataDirectory) -> None:
    with pytest.raises(OperatorError, match=rf"in use by another `prog up` \(process {os.getpid()}\).*--data"):
        DataDirectory(directory.path).open()
    directory.close()
    directory.open()


@pytest.fixture
def held_by_the_ended(tmp_path: Path) -> Iterator[IO[str]]:
    """The lock of `tmp_path` as a fork of a platform that was killed holds it while it is ending."""
    platform = subprocess.Popen(["true"])
    platform.wait()
    with (tmp_path / "lock").open("w") as lock:
        lock.write(f"{platform.pid}\n")
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def test_what_is_left_of_a_killed_platform_is_waited_for(
    held_by_the_ended: IO[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            held_by_the_ended.close()

    monkeypatch.setattr("prog_infra.local.directory.time.sleep", wait)
    directory = DataDirectory(tmp_path)
    directory.open()
    assert len(waits) == 3
    assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
    directory.close()


def test_what_is_left_of_a_killed_platform_is_not_waited_for_without_end(
    held_by_the_ended: IO[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ENDING_SECONDS", 0.0)
    with pytest.raises(OperatorError, match="still in use by what is left"):
        DataDirectory(tmp_path).open()


def test_the_broker_is_remembered_until_all_is_forgotten(directory: DataDirectory) -> None:
    assert directory.broker() is None
    directory.remember_broker("kafka")
    assert DataDirectory(directory.path).broker() == "kafka"
    (directory.kafka / "node-1").mkdir(parents=True)
    directory.close()
    directory.open(fresh=True)
    assert directory.broker() is None
    assert not directory.kafka.exists()


def test_fresh_forgets_what_is_ours_and_nothing_else(directory: DataDirectory) -> None:
    keys = directory.secret_keys()
    (directory.path / "notes.txt").write_text("mine")
    directory.close()
    directory.open(fresh=True)
    assert directory.secret_keys() != keys
    assert (directory.path / "notes.txt").read_text() == "mine"


def test_a_full_disk_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=3_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OperatorError, match=r"is full: only 3 MB are left - free 256 MB, or use --data"):
        DataDirectory(tmp_path / "data").open()


def test_a_place_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match="cannot be used for data: not a directory - use --data"):
        DataDirectory(tmp_path / "file" / "data").open()


def test_other_commands_find_the_platform_that_runs_in_a_named_directory(
    directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROG_PUBLIC_URL", "https://elsewhere.example")
    directory.remember_platform({"PROG_PUBLIC_URL": "http://127.0.0.1:9000/"})
    assert local.public_url(directory.path) == "http://127.0.0.1:9000"
    assert local.public_url() == "https://elsewhere.example"


def test_a_directory_where_nothing_ran_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"no platform has run in .* - start one: prog up --data"):
        local.settings(tmp_path)


def test_a_damaged_file_is_named(directory: DataDirectory) -> None:
    (directory.path / "secrets.json").write_text(json.dumps(["no object"]))
    with pytest.raises(OperatorError, match=r"secrets\.json is damaged"):
        directory.secret_keys()
