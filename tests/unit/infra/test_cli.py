"""The command line: help that imports nothing, exit codes, and errors of one line."""

import json
import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import typer

from prog_infra import cli
from prog_infra.errors import OperatorError
from prog_infra.local import DataDirectory


def test_help_lists_every_command_with_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("up", "edge", "worker", "relay", "scheduler", "mailbox", "migrate", "doctor", "openapi"):
        assert f" {name} " in shown


def test_help_loads_no_command_and_nothing_heavy() -> None:
    code = (
        "import sys; from prog_infra import cli; cli.run(['--help']); "
        "print([name for name in ('asyncpg', 'pydantic', 'fastapi', 'prog_infra.commands.up') if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--version"], 0),
        (["up", "--help"], 0),
        (["nothing-such"], 2),
        (["worker"], 2),
        (["worker", "cooking"], 2),
        (["up", "--broker", "pigeon"], 2),
    ],
)
def test_exit_codes(arguments: list[str], code: int) -> None:
    assert cli.run(arguments) == code


def test_an_operators_error_is_one_line_with_its_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prog_infra.local.database_url", _no_database)
    assert cli.run(["migrate"]) == 1
    assert capsys.readouterr().err == "prog: there is no database - start one\n"


def test_with_json_an_error_is_an_object(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prog_infra.local.database_url", _no_database)
    assert cli.run(["migrate", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == {
        "ok": False,
        "error": "there is no database",
        "remedy": "start one",
    }


def test_wrong_settings_are_told_all_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PROG_DATABASE_URL", "PROG_REDIS_URL", "PROG_SECRET_KEYS"):
        monkeypatch.delenv(name, raising=False)
    assert cli.run(["relay"]) == 1
    told = capsys.readouterr().err
    assert all(name in told for name in ("PROG_DATABASE_URL", "PROG_REDIS_URL", "PROG_SECRET_KEYS"))
    assert "Traceback" not in told


@pytest.mark.parametrize(("typed", "told"), [("tial", "Did you mean tail?"), ("zzzz", "prog --help lists them.")])
def test_a_mistyped_command_is_met_with_the_nearest_one(
    typed: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run([typed]) == 2
    assert f"There is no command {typed}. {told}" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["doctor", "tail", "dead list", "audit list", "admin create-user ada@example.com"])
def test_where_no_platform_has_run_a_command_says_how_to_name_one(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("PROG_")]:
        monkeypatch.delenv(name)
    assert cli.run(command.split()) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"prog: no platform has run in {tmp_path / '.prog'} yet - start one with `prog up`")
    assert "--data" in told


def test_a_file_that_cannot_be_opened_is_told_by_its_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prog_infra.local.database_url", lambda data: Path("/nowhere/at-all").read_text())
    assert cli.run(["migrate"]) == 1
    told = "prog: /nowhere/at-all: no such file or directory - check the path, and whether it is yours\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize("command", ["tail", "dead list", 'publish prognetwork.events.publish_event {"name":"a.b"}'])
def test_where_the_platform_has_stopped_a_command_says_so(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("PROG_")]:
        monkeypatch.delenv(name)
    directory = DataDirectory(tmp_path)
    directory.open()
    away = {"PROG_DATABASE_URL": f"postgresql://a:b@/prog?host={tmp_path}", "PROG_SECRET_KEYS": "k" * 40}
    directory.remember_platform(away | {"PROG_REDIS_URL": f"unix://{tmp_path}/no.sock?db=0"})
    words = [*command.split(), "--data", str(tmp_path)]
    assert cli.run(words) == 1
    assert "a server does not answer" in capsys.readouterr().err, "it is being started"
    directory.close()
    assert cli.run(words) == 1
    assert capsys.readouterr().err == f"prog: the platform in {tmp_path} does not run - start it with `prog up`\n"


def test_a_question_without_an_answer_ends_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prog_infra.local.database_url", _unanswered)
    assert cli.run(["migrate"]) == 1
    assert capsys.readouterr().err == "prog: a question got no answer - nothing was done\n"


def test_help_breaks_lines_where_the_window_ends_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["bench", "--help"]) == 0
    words = " ".join(capsys.readouterr().out.split())
    assert "A ratio is ours over the reference, for times the reference over ours" in words
    command = typer.main.get_command(import_module("prog_infra.commands.bench").app)
    cli._flow(command)
    assert command.help is not None
    assert all("\n" not in paragraph for paragraph in command.help.split("\n\n"))


@pytest.mark.parametrize("words", [["up"], ["dead"], ["dead", "list"], []])
def test_a_flag_takes_no_value_in_the_help(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert cli.run([*words, "--help"]) == 0
    told = capsys.readouterr().out
    assert "--help" in told
    assert "bool" not in told


def test_a_shell_takes_over_where_the_platform_is(tmp_path: Path) -> None:
    DataDirectory(tmp_path).remember_platform(
        {
            "PROG_REDIS_URL": "unix://:pass'word@/tmp/a b?db=0",
            "PROG_PUBLIC_URL": "http://127.0.0.1:8000",
            "PROG_SECRET_KEYS": "s",
        }
    )
    prog = shlex.quote(str(Path(sys.executable).with_name("prog")))
    script = f'eval "$({prog} env --data {tmp_path})"; echo "$PROG_BROKER_URL|$PROG_PUBLIC_URL|$PROG_SECRET_KEYS"'
    bare = {name: value for name, value in os.environ.items() if not name.startswith("PROG_")}
    shell = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True, env=bare, timeout=60)
    assert shell.stdout == "unix://:pass'word@/tmp/a b?db=0|http://127.0.0.1:8000|\n", "secrets only where asked for"


def test_a_setting_that_is_named_is_printed_or_missed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    DataDirectory(tmp_path).remember_platform({"PROG_DATABASE_URL": "postgresql:///prog"})
    assert cli.run(["env", "PROG_DATABASE_URL", "--data", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"PROG_DATABASE_URL": "postgresql:///prog"}
    assert cli.run(["env", "PROG_NOTHING", "--data", str(tmp_path)]) == 1
    assert "PROG_NOTHING is not set here" in capsys.readouterr().err


def test_an_error_told_by_another_process_keeps_its_remedy() -> None:
    error = OperatorError("the disk is full", remedy="free some space")
    assert str(OperatorError.from_line(f"prog: {error}", remedy="see the log")) == str(error)
    assert OperatorError.from_line("Segmentation fault", remedy="see the log").remedy == "see the log"


def _unanswered(data: Path | None = None) -> str:
    raise typer.Abort


def _no_database(data: Path | None = None) -> str:
    raise OperatorError("there is no database", remedy="start one")
