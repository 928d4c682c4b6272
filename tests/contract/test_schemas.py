"""What is committed in contracts/schemas is what the code says, and no change of a message breaks a reader."""

from __future__ import annotations

import json
import typing
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from prog_contracts import schemas
from prog_contracts.messages import Message, all_messages
from prog_contracts.topics import TOPICS, topic_of
from prog_infra.commands.schemas import app

DIRECTORY = Path(__file__).parents[2] / "contracts" / "schemas"
MODELS = list(all_messages())
REMEDIES = {False: "run `prog schemas --write`", True: "give the message a new version"}


def test_the_committed_schemas_are_the_codes() -> None:
    told = [
        "\n  ".join((f"{item.name}: {item.reason}", *map(str, item.breaking), REMEDIES[bool(item.breaking)]))
        for item in schemas.stale(DIRECTORY)
    ]
    assert not told, "\n" + "\n".join(told)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.TYPE)
def test_a_schema_is_valid_json_schema(model: type[Message]) -> None:
    Draft202012Validator.check_schema(schemas.schema(model))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.TYPE)
def test_what_may_be_null_may_be_absent(model: type[Message]) -> None:
    """Writers leave out None, so a field that may be None and has no default could not be read back."""
    for name, field in model.model_fields.items():
        if type(None) in typing.get_args(field.annotation):
            assert not field.is_required(), name


def test_writing_mends_what_is_compatible_and_leaves_what_breaks(tmp_path: Path) -> None:
    names = schemas.write(tmp_path)
    assert len(names) == len(MODELS) + 1
    assert schemas.stale(tmp_path) == []
    kept = tmp_path / "users" / "user_deleted.v1.json"
    breaking = json.loads(kept.read_text())
    breaking["properties"]["reason"] = {"type": "string"}
    kept.write_text(schemas.render(breaking))
    (tmp_path / "users" / "user_created.v1.json").unlink()
    (tmp_path / "users" / "forgotten.v1.json").write_text("{}")
    assert schemas.write(tmp_path) == ["users/user_created.v1.json"]
    left = {difference.name: difference for difference in schemas.stale(tmp_path)}
    assert set(left) == {"users/user_deleted.v1.json", "users/forgotten.v1.json"}
    assert [problem.rule for problem in left["users/user_deleted.v1.json"].breaking] == ["field_removed"]
    assert [problem.rule for problem in left["users/forgotten.v1.json"].breaking] == ["message_removed"]


def test_the_command_tells_what_differs_and_writes_it(tmp_path: Path) -> None:
    runner = CliRunner()
    told = runner.invoke(app, ["--directory", str(tmp_path), "--json"])
    assert told.exit_code == 1
    assert len(json.loads(told.stdout)["differences"]) == len(MODELS) + 1
    assert runner.invoke(app, ["--directory", str(tmp_path), "--write"]).exit_code == 0
    assert runner.invoke(app, ["--directory", str(tmp_path)]).exit_code == 0


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        here = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return here + [found for item in value.values() for found in references(item)]
    return [found for item in value for found in references(item)] if isinstance(value, list) else []


@pytest.fixture(scope="module")
def asyncapi() -> dict[str, Any]:
    return schemas.documents()[schemas.ASYNCAPI_FILE]


def test_every_reference_in_the_asyncapi_document_leads_somewhere(asyncapi: dict[str, Any]) -> None:
    found = references(asyncapi)
    assert found
    for reference in found:
        place: Any = asyncapi
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_every_message_is_in_one_channel_and_every_topic_is_a_channel(asyncapi: dict[str, Any]) -> None:
    assert set(asyncapi["channels"]) == set(TOPICS)
    listed = sorted(name for channel in asyncapi["channels"].values() for name in channel["messages"])
    assert listed == sorted(asyncapi["components"]["messages"])
    assert len(listed) == len(MODELS)
    for model in MODELS:
        name = f"{model.TYPE.removeprefix('prognetwork.')}.v{model.VERSION}"
        assert name in asyncapi["channels"][topic_of(model).name]["messages"]
        Draft202012Validator.check_schema(asyncapi["components"]["messages"][name]["payload"])


def test_every_attribute_of_the_envelope_is_documented(asyncapi: dict[str, Any]) -> None:
    from prog_contracts.envelope import _Attributes

    assert set(asyncapi["components"]["schemas"]["Envelope"]["properties"]) == set(_Attributes.__struct_fields__)
