"""`prog producers`: who else may publish commands, as an operator says it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from prog_contracts.ids import new_id
from prog_infra.commands.producers import app
from prog_infra.errors import OperatorError
from prog_kit.secrets import producer_keys

runner = CliRunner()
SECRET = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "producers.json"
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "PROG_DATABASE_URL": "postgresql://nobody/x", "PROG_REDIS_URL": "redis://nobody:1/0",
        "PROG_SECRET_KEYS": SECRET, "PROG_PRODUCERS_FILE": str(path),
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    return path


def run(*words: str) -> str:
    result = runner.invoke(app, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_producer_is_added_listed_given_a_new_key_and_forgotten(file: Path) -> None:
    tenant = new_id("tenant")
    assert "platform alone" in run("list")
    added = json.loads(run("add", "shop", "--type", "prognetwork.events.*", "--tenant", tenant, "--json"))
    assert added == {"name": "shop", "key": producer_keys((SECRET,), "shop", 1)[0]}
    assert json.loads(file.read_text()) == {
        "shop": {"types": ["prognetwork.events.*"], "tenants": [tenant], "generation": 1}
    }
    assert SECRET not in file.read_text()
    assert added["key"] not in file.read_text()
    renewed = json.loads(run("renew", "shop", "--json"))
    assert renewed["key"] != added["key"]
    assert json.loads(run("key", "shop", "--json")) == renewed
    assert json.loads(run("add", "shop", "--json")) == renewed, "a change of rights keeps the key"
    assert run("list").split() == ["shop", "prognetwork.events.*", "for", "*"]
    run("remove", "shop")
    assert json.loads(run("list", "--json")) == {"data": []}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["add", "My Shop"], "no name"),
        (["add", "prognetwork"], "platform's own name"),
        (["add", "shop", "--tenant", "acme"], "no tenant"),
        (["remove", "shop"], "no producer shop"),
        (["key", "shop"], "no producer shop"),
    ],
)
def test_a_mistake_is_told(words: list[str], told: str) -> None:
    with pytest.raises(OperatorError, match=told):
        runner.invoke(app, words, catch_exceptions=False)


def test_without_a_file_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROG_PRODUCERS_FILE")
    with pytest.raises(OperatorError, match="no file of producers"):
        runner.invoke(app, ["list"], catch_exceptions=False)
